"use strict";
// Before anything is drawn: the colours that were chosen here, else those of the system.
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch { /* a browser that keeps nothing */ }
