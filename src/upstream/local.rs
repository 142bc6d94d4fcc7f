//! Errors of this machine, which say nothing about a server.

use std::{error::Error, io};

use rustix::io::Errno;

/// Why no connection can be made, whatever the server does: no port, no descriptor, no memory, or no right to connect.
const LOCAL_ERRORS: [Errno; 8] = [
    Errno::ADDRNOTAVAIL,
    Errno::ADDRINUSE,
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::ACCESS,
    Errno::PERM,
];

/// Whether a connection could not be made because this machine lacks something. The system's error may stand anywhere
/// in the chain of causes.
#[must_use]
pub fn is_local(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(code) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return LOCAL_ERRORS.contains(&Errno::from_raw_os_error(code));
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("around")]
    struct Around(#[source] io::Error);

    #[test]
    fn only_what_this_machine_lacks_is_local() {
        for (errno, local) in [
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::ADDRNOTAVAIL, true),
            (Errno::NOBUFS, true),
            (Errno::ACCESS, true),
            (Errno::CONNREFUSED, false),
            (Errno::CONNRESET, false),
            (Errno::TIMEDOUT, false),
            (Errno::HOSTUNREACH, false),
        ] {
            let error = || io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!((is_local(&error()), is_local(&Around(error()))), (local, local), "{errno}");
        }
        assert!(!is_local(&io::Error::other("not the system's")));
    }
}
