//! Real clients of other people, as child processes.
