"""Event time: which window an event falls in, when a window closes, what is late. Pure: no clock."""
