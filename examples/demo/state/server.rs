//! The server of `demo --state`: keys and what they hold, in memory. Upgraded while it serves, since it notes what
//! changes. Knows nothing of the driver that started it, except that silence means it is gone.

use std::{
    collections::{BTreeSet, HashMap},
    io::{BufRead, Write},
    path::Path,
    time::Duration,
};

use heirloom::{Alarm, Connection, Net, Origin, Restart, Result, Server, Service, Start, codec};

use crate::server::{LOOK, READY_WITHIN, SILENCE};

/// A command is shorter than this.
const LONGEST: usize = 200;

/// Long enough to be rolled back in, short enough for a demonstration.
pub const PROBATION: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Shelf {
    texts: HashMap<Vec<u8>, Vec<u8>>,
    /// The keys written since somebody has asked for them to be noted.
    changed: Option<BTreeSet<Vec<u8>>>,
    /// Whether a request has come since the last look.
    asked: bool,
}

impl Shelf {
    fn put(&mut self, key: &[u8], text: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(changed) = &mut self.changed {
            changed.insert(key.to_vec());
        }
        self.texts.insert(key.to_vec(), text)
    }

    /// Carries out a command, and answers in the words of the Redis protocol.
    fn take(&mut self, line: &[u8]) -> Result<Vec<u8>> {
        let words: Vec<_> = line.split(|&byte| byte == b' ').collect();
        Ok(match words[..] {
            [b"SET", key, text, b"GET"] => bulk(self.put(key, text.to_vec()).as_deref()),
            [b"GET", key] => bulk(self.texts.get(key).map(Vec::as_slice)),
            [b"INCR", key] => {
                let digits = self.texts.get(key).map_or(&b"0"[..], Vec::as_slice);
                let count = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                let count: u64 = count.ok_or("not a number")?;
                self.put(key, (count + 1).to_string().into_bytes());
                format!(":{}\r\n", count + 1).into_bytes()
            }
            _ => return Err("not a command".into()),
        })
    }
}

fn bulk(text: Option<&[u8]>) -> Vec<u8> {
    match text {
        None => b"$-1\r\n".to_vec(),
        Some(text) => [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat(),
    }
}

/// A key and what it holds, each with its length in one byte before it: commands are short.
fn write_pair(out: &mut dyn Write, key: &[u8], text: &[u8]) -> Result {
    for part in [key, text] {
        let length = u8::try_from(part.len()).map_err(|_| "too long for one byte")?;
        out.write_all(&[length])?;
        out.write_all(part)?;
    }
    Ok(())
}

fn read_part(saved: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut length = [0];
    saved.read_exact(&mut length)?;
    let mut part = vec![0; length[0].into()];
    saved.read_exact(&mut part)?;
    Ok(part)
}

impl Service for Shelf {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        _session: &mut (),
        input: &[u8],
    ) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LONGEST)? else { return Ok(0) };
        conn.send(&self.take(line)?);
        self.asked = true;
        Ok(taken)
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        self.texts.iter().try_for_each(|(key, text)| write_pair(out, key, text))
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        self.texts.clear();
        self.load_changes(saved)
    }

    fn track_changes(&mut self, on: bool) -> bool {
        self.changed = on.then(BTreeSet::new);
        true
    }

    fn save_changes(&mut self, out: &mut dyn Write, most: usize) -> Result<usize> {
        let Some(changed) = &mut self.changed else { return Ok(0) };
        for _ in 0..most {
            let Some(key) = changed.pop_first() else { break };
            write_pair(out, &key, &self.texts[&key])?;
        }
        Ok(changed.len())
    }

    fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        while !saved.fill_buf()?.is_empty() {
            let (key, text) = (read_part(saved)?, read_part(saved)?);
            self.put(&key, text);
        }
        Ok(())
    }

    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        Ok(())
    }

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        net.set_alarm(LOOK, SILENCE);
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        if std::mem::take(&mut self.asked) {
            net.set_alarm(LOOK, SILENCE);
        } else {
            log::error!("nobody has asked anything for {SILENCE:?}");
            net.drain();
        }
    }
}

/// Serves on a port that the system picks, and obeys on the control socket.
pub fn run(control: &Path) -> Result {
    let how = Restart::fork_exec().ready_within(READY_WITHIN).probation(PROBATION);
    Server::new(Shelf::default())?
        .listen("127.0.0.1:0")?
        .control(control)?
        .restart_on(libc::SIGUSR2, how.move_connections())
        .run()
}
