//! The operator who runs a command: the operating system's user, at a terminal.

use std::{fs, io};

use rustix::{
    process::{Uid, getuid},
    termios::ttyname,
};

use crate::state::store::Actor;

/// Where the names of users are. A user of a directory service has no line there, and stands as a number.
const USERS: &str = "/etc/passwd";

/// Bytes that are read of it, at most.
const USERS_BYTES_MAX: u64 = 4 << 20;

/// The user that runs this process. The system says so, and no variable of the environment, which anybody sets.
pub(super) fn actor() -> Actor {
    let uid = getuid();
    let users = fs::metadata(USERS).ok().filter(|facts| facts.len() <= USERS_BYTES_MAX);
    let users = users.and_then(|_| fs::read_to_string(USERS).ok()).unwrap_or_default();
    let user = user_of(&users, uid).map_or_else(|| format!("uid {}", uid.as_raw()), str::to_owned);
    Actor::command(&user, &terminal())
}

fn terminal() -> String {
    let named = ttyname(io::stdin(), vec![]).or_else(|_| ttyname(io::stderr(), vec![]));
    named.map_or_else(|_| "no terminal".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The name of a user in the lines of `/etc/passwd`.
fn user_of(users: &str, uid: Uid) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(uid.as_raw())).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nportero:x:65532:65532::/:\n";
        assert_eq!(user_of(users, Uid::from_raw(0)), Some("root"));
        assert_eq!(user_of(users, Uid::from_raw(65532)), Some("portero"));
        assert_eq!(user_of(users, Uid::from_raw(7)), None);
    }
}
