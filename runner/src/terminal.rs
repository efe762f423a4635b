//! The terminal of the wrapper and its program.

use rustix::{
    process::{Pid, getpgrp},
    stdio::stdin,
    termios::{tcgetpgrp, tcsetpgrp},
};

/// Makes a process group the foreground group of the terminal, if that is the group of the wrapper now. Returns whether it did.
pub(crate) fn hand_to(group: Pid) -> bool {
    tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == getpgrp())
        && tcsetpgrp(stdin(), group).is_ok()
}
