"""Compiled loops over bytes and columns: Numba turns them into machine code, once per machine, and keeps that on disk."""
