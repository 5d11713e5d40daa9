//! What one generation tells another of a socket that it passes on. Pure, like all messages.

use super::wire::{Fields, Malformed, number, put};
use crate::system::regular_file::FileId;

const NAME: u16 = 4;
/// Of the name before it: device and inode of its path.
const FILE: u16 = 51;

/// A socket that is passed on. The descriptor travels beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SocketName {
    /// How generations know it.
    pub name: String,
    /// Of a Unix socket: the file that was made when it was bound. Only who has bound it knows, for at its
    /// path there may be another one by now.
    pub file: Option<FileId>,
}

pub(super) fn put_sockets(out: &mut Vec<u8>, sockets: &[SocketName]) {
    for SocketName { name, file } in sockets {
        put(out, NAME, name.as_bytes());
        if let Some(FileId { device, inode }) = file {
            put(out, FILE, &[device.to_le_bytes(), inode.to_le_bytes()].concat());
        }
    }
}

pub(super) fn sockets(fields: Fields<'_>) -> Result<Vec<SocketName>, Malformed> {
    let mut sockets: Vec<SocketName> = Vec::new();
    for field in fields {
        match field? {
            (NAME, name) => {
                let name = String::from_utf8(name.to_vec());
                let name = name.map_err(|_| Malformed::Field("listener name"))?;
                sockets.push(SocketName { name, file: None });
            }
            (FILE, bytes) => {
                let wrong = Malformed::Field("listener file");
                let (device, inode) = bytes.split_at_checked(8).ok_or(wrong.clone())?;
                let device = number(device, "listener file")?;
                let inode = number(inode, "listener file")?;
                let last = sockets.last_mut().filter(|last| last.file.is_none());
                last.ok_or(wrong)?.file = Some(FileId { device, inode });
            }
            _ => {}
        }
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::link::wire;

    fn read(fields: &[(u16, &[u8])]) -> Result<Vec<SocketName>, Malformed> {
        let mut out = wire::begin(2);
        fields.iter().for_each(|(tag, bytes)| put(&mut out, *tag, bytes));
        sockets(wire::open(&out)?.1)
    }

    #[test]
    fn a_file_belongs_to_the_name_before_it() {
        let file = [7u64.to_le_bytes(), 9u64.to_le_bytes()].concat();
        let both = read(&[(NAME, b"a"), (NAME, b"b"), (FILE, &file), (NAME, b"c")]).unwrap();
        let known = FileId { device: 7, inode: 9 };
        assert_eq!(both.iter().map(|it| it.file).collect::<Vec<_>>(), [None, Some(known), None]);
        for wrong in [
            &[(FILE, &file[..]), (NAME, b"a")][..],
            &[(NAME, b"a"), (FILE, &file), (FILE, &file)],
            &[(NAME, b"a"), (FILE, &file[..15])],
            &[(NAME, b"a"), (FILE, b"")],
        ] {
            assert_eq!(read(wrong), Err(Malformed::Field("listener file")));
        }
    }
}
