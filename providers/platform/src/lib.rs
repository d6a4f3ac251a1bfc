//! Whole-file replacement, process hardening and exec: the only code that differs by operating system.
