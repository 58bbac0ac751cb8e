"""Schedules: the arithmetic of moments (`cron`, `timetable`), and the program that starts workflows at them."""
