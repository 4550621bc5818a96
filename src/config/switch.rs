//! Flags that are on unless they are switched off.

use clap::Arg;

/// What stands for their value in the help.
pub(super) const SWITCH: &str = "BOOL";

/// Lets a switch be written as `--flag`, `--flag=true` or `--flag=false`, and never takes the next word for its value.
pub(super) fn switch(arg: Arg) -> Arg {
    match arg.get_value_names() {
        Some([name]) if name == SWITCH => {
            arg.num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        _ => arg,
    }
}
