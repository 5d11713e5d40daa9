//! Who may connect to the path of a Unix socket. Knows no listener.

use std::{
    fmt,
    fs::{self, OpenOptions, Permissions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use nix::{
    sys::stat::{Mode, umask},
    unistd::{Group, User},
};

use crate::error::{Error, Result};

/// The mode, the owner and the group of a Unix socket's path, which decide who may connect (see `unix(7)`).
/// What is not said is as the system has it: the mode by the umask, the rest by the process.
///
/// They hold from the first moment: until all of them do, nobody can connect. A program that takes the
/// socket over with other permissions sets them when it stays, so a roll back leaves those that were. On the
/// command line they are behind the path: `unix:/run/kv.sock,mode=660,owner=kv,group=www`.
///
/// ```
/// use heirloom::SocketPermissions;
///
/// let for_the_proxy = SocketPermissions::new().mode(0o660).group("www-data");
/// assert_eq!(for_the_proxy.to_string(), ",mode=660,group=www-data");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketPermissions {
    mode: Option<u32>,
    owner: Option<String>,
    group: Option<String>,
}

impl SocketPermissions {
    /// Says nothing yet.
    pub fn new() -> SocketPermissions {
        SocketPermissions::default()
    }

    /// The mode: who may write may connect.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> SocketPermissions {
        self.mode = Some(mode);
        self
    }

    /// A user, by name or number. Another one than the process's own takes privileges.
    #[must_use]
    pub fn owner(mut self, owner: impl Into<String>) -> SocketPermissions {
        self.owner = Some(owner.into());
        self
    }

    /// A group, by name or number. One that the process is not in takes privileges.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> SocketPermissions {
        self.group = Some(group.into());
        self
    }

    /// For the socket of operators.
    pub(super) fn private() -> SocketPermissions {
        SocketPermissions::new().mode(0o600)
    }

    /// Takes them off the end of an address. What stands behind another comma is part of the path.
    pub(super) fn split(address: &str) -> Result<(&str, SocketPermissions)> {
        let (mut rest, mut found) = (address, SocketPermissions::new());
        while rest.starts_with("unix:")
            && let Some((before, last)) = rest.rsplit_once(',')
            && let Some((key @ ("mode" | "owner" | "group"), value)) = last.split_once('=')
        {
            let twice = match key {
                "mode" => {
                    let mode = u32::from_str_radix(value, 8).ok().filter(|&mode| mode <= 0o777);
                    let why = "a mode is up to three digits of 0 to 7";
                    found.mode.replace(mode.ok_or_else(|| invalid(address, why))?).is_some()
                }
                "owner" => found.owner.replace(value.to_owned()).is_some(),
                _ => found.group.replace(value.to_owned()).is_some(),
            };
            if twice {
                return Err(invalid(address, &format!("{key} is said twice")));
            }
            rest = before;
        }
        Ok((rest, found))
    }

    /// Whether anything is said.
    pub(super) fn is_empty(&self) -> bool {
        *self == SocketPermissions::default()
    }

    /// Looks whether the names and numbers make sense.
    ///
    /// # Errors
    /// When a user or a group is not known, or the mode is none.
    pub(super) fn check(&self) -> io::Result<()> {
        self.ids()?;
        match self.mode {
            Some(mode) if mode > 0o777 => Err(io::Error::other(format!("{mode:o} is no mode"))),
            _ => Ok(()),
        }
    }

    fn ids(&self) -> io::Result<(Option<u32>, Option<u32>)> {
        let unknown = |what, name: &str| io::Error::other(format!("no {what} is called {name}"));
        let id = |name: &Option<String>, what, find: fn(&str) -> nix::Result<Option<u32>>| {
            let Some(name) = name else { return Ok(None) };
            match name.parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => find(name)?.ok_or_else(|| unknown(what, name)).map(Some),
            }
        };
        let user = |name: &str| Ok(User::from_name(name)?.map(|user| user.uid.as_raw()));
        let group = |name: &str| Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()));
        Ok((id(&self.owner, "user", user)?, id(&self.group, "group", group)?))
    }

    /// What a path that was made without any mode is given: where none is said, the one that the umask
    /// would have left.
    pub(super) fn of_new_path(&self) -> SocketPermissions {
        // To ask is to set. A file that another thread makes at this moment is private, not everybody's.
        let mask = umask(Mode::S_IRWXG | Mode::S_IRWXO);
        umask(mask);
        SocketPermissions { mode: self.mode.or(Some(0o777 & !mask.bits())), ..self.clone() }
    }

    /// Gives them to a socket's path, whatever somebody may put in its place meanwhile. The owner comes
    /// first, so that nobody has the mode who is not meant.
    pub(super) fn apply(&self, path: &Path) -> io::Result<()> {
        let (owner, group) = self.ids()?;
        let handle = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        if !handle.metadata()?.file_type().is_socket() {
            return Err(io::Error::other("the path is no socket any more"));
        }
        // By the handle, which nobody can exchange; without /proc there is only the path.
        let by_handle = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let path = if by_handle.exists() { &by_handle } else { path };
        if owner.is_some() || group.is_some() {
            chown(path, owner, group)?;
        }
        self.mode.map_or(Ok(()), |mode| fs::set_permissions(path, Permissions::from_mode(mode)))
    }
}

fn invalid(address: &str, why: &str) -> Error {
    Error::invalid("listen on", address, why)
}

/// As it stands behind an address.
impl fmt::Display for SocketPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.mode.map_or(Ok(()), |mode| write!(f, ",mode={mode:o}"))?;
        self.owner.as_ref().map_or(Ok(()), |owner| write!(f, ",owner={owner}"))?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ",group={group}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_an_address_comes_back() {
        let all = SocketPermissions::new().mode(0o640).owner("root").group("0");
        for permissions in [SocketPermissions::new(), SocketPermissions::private(), all] {
            for path in ["unix:/run/x", "unix:/run/a,b=c", "unix:/run/a,"] {
                let text = format!("{path}{permissions}");
                let split = SocketPermissions::split(&text).expect("it is well-formed");
                assert_eq!(split, (path, permissions.clone()));
            }
        }
        for other in ["127.0.0.1:80", "[::1]:80", "localhost:80,mode=660"] {
            let split = SocketPermissions::split(other).expect("it is no path");
            assert_eq!(split, (other, SocketPermissions::new()));
        }
        for wrong in ["mode=888", "mode=", "mode=1777", "mode=660,mode=600", "mode=rw"] {
            let error = SocketPermissions::split(&format!("unix:/run/x,{wrong}")).unwrap_err();
            assert!(error.to_string().starts_with("listen on unix:/run/x,"), "{error}");
        }
        assert!(SocketPermissions::new().owner("no such user").check().is_err());
        assert!(SocketPermissions::new().group("no such group").check().is_err());
        assert!(SocketPermissions::new().mode(0o1000).check().is_err());
    }
}
