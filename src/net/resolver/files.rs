//! What this machine knows about names by itself: `hosts(5)` and `resolv.conf(5)`, read anew when they have changed.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::net::if_::if_nametoindex;

use crate::names::{Conf, Hosts};

/// A file, and which state of it was read.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Option<State>,
}

/// Whose content is what it was as long as this is the same; `None` is a file that cannot be read.
type State = Option<(u64, u64, i64, i64, u64)>;

impl Watched {
    fn at(path: &str) -> Watched {
        Watched { path: path.into(), seen: None }
    }

    /// The content, if it was not read in this state. One that cannot be read is empty.
    fn changed(&mut self) -> Option<Vec<u8>> {
        let state = fs::metadata(&self.path).ok();
        let state = state.map(|it| (it.dev(), it.ino(), it.mtime(), it.mtime_nsec(), it.size()));
        if self.seen == Some(state) {
            return None;
        }
        self.seen = Some(state);
        Some(fs::read(&self.path).unwrap_or_default())
    }
}

/// Both files.
#[derive(Debug)]
pub(super) struct Files {
    hosts_file: Watched,
    conf_file: Watched,
    pub hosts: Hosts,
    pub conf: Conf,
}

impl Default for Files {
    fn default() -> Files {
        Files {
            hosts_file: Watched::at("/etc/hosts"),
            conf_file: Watched::at("/etc/resolv.conf"),
            hosts: Hosts::default(),
            conf: parse_conf(b""),
        }
    }
}

impl Files {
    pub fn set_hosts(&mut self, path: PathBuf) {
        self.hosts_file = Watched { path, seen: None };
    }

    pub fn set_conf(&mut self, path: PathBuf) {
        self.conf_file = Watched { path, seen: None };
    }

    /// Before they are used. Tells whether other servers may be named now.
    pub fn refresh(&mut self) -> bool {
        if let Some(bytes) = self.hosts_file.changed() {
            self.hosts = Hosts::parse(&String::from_utf8_lossy(&bytes));
        }
        let Some(bytes) = self.conf_file.changed() else { return false };
        self.conf = parse_conf(&bytes);
        true
    }
}

fn parse_conf(bytes: &[u8]) -> Conf {
    let host = fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    Conf::parse(bytes, host.trim(), |name| if_nametoindex(name).ok())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;

    #[test]
    fn a_file_is_read_anew_when_it_has_changed_and_not_before() {
        let path = env::temp_dir().join(format!("heirloom-hosts-{}", process::id()));
        let mut file = Watched { path: path.clone(), seen: None };
        assert_eq!((file.changed(), file.changed()), (Some(Vec::new()), None));
        fs::write(&path, "10.0.0.1 db").unwrap();
        assert_eq!((file.changed().as_deref(), file.changed()), (Some(&b"10.0.0.1 db"[..]), None));
        // Put in its place by rename, as careful programs do, with the same length and time.
        let (time, next) =
            (fs::metadata(&path).unwrap().modified().unwrap(), path.with_extension("next"));
        fs::write(&next, "10.0.0.2 db").unwrap();
        fs::File::options().write(true).open(&next).unwrap().set_modified(time).unwrap();
        fs::rename(&next, &path).unwrap();
        assert_eq!(file.changed().as_deref(), Some(&b"10.0.0.2 db"[..]));
        fs::remove_file(&path).unwrap();
        assert_eq!((file.changed(), file.changed()), (Some(Vec::new()), None));
    }
}
