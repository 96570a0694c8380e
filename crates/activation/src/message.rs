//! What a manager says in the environment of the sockets it hands over: which process they are for (`LISTEN_PID`), how many
//! there are (`LISTEN_FDS`), and what each is called (`LISTEN_FDNAMES`).

use std::ffi::OsStr;

use thiserror::Error;

/// The variables, in the order of [`Message`]'s fields.
pub const VARIABLES: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// At most so many are taken. It is far more than any unit of systemd's has.
pub const COUNT_MAX: usize = 4096;
/// What systemd calls those that nobody has given a name.
const NAMELESS: &str = "unknown";

/// The variables' values, where they are set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Message<'a> {
    /// `LISTEN_PID`.
    pub process: Option<&'a OsStr>,
    /// `LISTEN_FDS`.
    pub count: Option<&'a OsStr>,
    /// `LISTEN_FDNAMES`.
    pub names: Option<&'a OsStr>,
}

/// A message that no manager writes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The process is none.
    #[error("LISTEN_PID={value} is no process")]
    NoProcess {
        /// What it says.
        value: String,
    },
    /// The count is none, or larger than any is.
    #[error("LISTEN_FDS={value} is no number from 1 to {COUNT_MAX}")]
    NoCount {
        /// What it says.
        value: String,
    },
    /// There are more or fewer names than sockets.
    #[error("LISTEN_FDNAMES has {names} names for {count} sockets")]
    OtherCount {
        /// So many names.
        names: usize,
        /// So many sockets.
        count: usize,
    },
}

impl Message<'_> {
    /// The names of the sockets that are for a process, in their order; none where they are for another one, as for the parent
    /// that has left its variables to it. Bytes of a name that are not text are replaced.
    ///
    /// # Errors
    /// When it is for this process, and damaged.
    pub fn names_for(&self, process: u32) -> Result<Vec<String>, MessageError> {
        let (Some(meant), Some(count)) = (self.process, self.count) else { return Ok(Vec::new()) };
        let meant = meant.to_string_lossy();
        let meant: u32 = meant.parse().map_err(|_| MessageError::NoProcess { value: meant.into_owned() })?;
        if meant != process {
            return Ok(Vec::new());
        }
        let value = count.to_string_lossy();
        let count: Option<usize> = value.parse().ok().filter(|count| (1..=COUNT_MAX).contains(count));
        let count = count.ok_or_else(|| MessageError::NoCount { value: value.into_owned() })?;
        let Some(names) = self.names else { return Ok(vec![NAMELESS.to_owned(); count]) };
        let names: Vec<String> = names.to_string_lossy().split(':').map(str::to_owned).collect();
        if names.len() == count { Ok(names) } else { Err(MessageError::OtherCount { names: names.len(), count }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: u32 = 42;

    fn told(process: &str, count: &str, names: Option<&str>) -> Result<Vec<String>, MessageError> {
        let message =
            Message { process: Some(process.as_ref()), count: Some(count.as_ref()), names: names.map(OsStr::new) };
        message.names_for(PROCESS)
    }

    #[test]
    fn each_socket_has_its_name_in_the_order_of_the_manager() {
        assert_eq!(told("42", "3", Some("web:local:web")).unwrap(), ["web", "local", "web"]);
        assert_eq!(told("42", "2", None).unwrap(), ["unknown", "unknown"]);
    }

    #[test]
    fn what_is_meant_for_another_process_is_for_nobody_here() {
        for process in ["41", "1", "4294967295"] {
            assert_eq!(told(process, "1", Some("web")), Ok(Vec::new()), "{process}");
        }
        // Whatever it says besides.
        assert_eq!(told("41", "many", Some("a:b")), Ok(Vec::new()));
    }

    #[test]
    fn half_a_message_is_none() {
        assert_eq!(Message::default().names_for(PROCESS), Ok(Vec::new()));
        let without_count = Message { process: Some("42".as_ref()), ..Message::default() };
        assert_eq!(without_count.names_for(PROCESS), Ok(Vec::new()));
        let without_process = Message { count: Some("1".as_ref()), ..Message::default() };
        assert_eq!(without_process.names_for(PROCESS), Ok(Vec::new()));
    }

    #[test]
    fn names_are_what_they_are_whatever_is_in_them() {
        assert_eq!(told("42", "4", Some("a b::ünï=门:\"$x\\")).unwrap(), ["a b", "", "ünï=门", "\"$x\\"]);
    }

    #[test]
    fn a_name_for_every_socket_or_none_at_all() {
        for (count, names, found) in [("2", "web", 1), ("1", "web:local", 2), ("1", "web:", 2), ("3", "", 1)] {
            let expected = MessageError::OtherCount { names: found, count: count.parse().unwrap() };
            assert_eq!(told("42", count, Some(names)), Err(expected), "{count} {names}");
        }
    }

    #[test]
    fn a_number_that_is_none_and_one_that_is_too_large_are_refused() {
        for count in ["0", "-1", "", "one", "4097", "2147483648", "99999999999999999999"] {
            assert_eq!(told("42", count, None), Err(MessageError::NoCount { value: count.to_owned() }), "{count}");
        }
        assert_eq!(told("42", "4096", None).unwrap().len(), COUNT_MAX);
        for process in ["", "self", "-42", "4294967338"] {
            let expected = MessageError::NoProcess { value: process.to_owned() };
            assert_eq!(told(process, "1", None), Err(expected), "{process}");
        }
    }
}
