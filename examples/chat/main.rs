//! Line chat: your first line is your name, each later line goes to everyone else.
//!
//! ```sh
//! cargo run --release --example chat             # then, in two more terminals:
//! nc 127.0.0.1 7778
//! pkill -HUP -x -o chat                          # a new generation
//! ```
//!
//! Who was here stays with the old generation, and who comes later meets in the new one: two rooms,
//! until the old one is empty. A protocol whose clients share state would rather move them.

#[path = "../common/mod.rs"]
mod common;

use heirloom::{ConnId, Io, Net, Origin, Reason, Result, Service, Start, Timer, codec};
use std::{collections::BTreeSet, process::ExitCode, rc::Rc, time::Duration};

const LOGIN: Timer = Timer(0); // left alone, a timer that runs out closes its connection
type Name = Option<String>;

/// The room: every connection that has given a name. All sessions share it; nothing else owns it.
#[derive(Default)]
struct Chat(BTreeSet<ConnId>);

impl Chat {
    fn tell_others(&self, net: &mut Net, speaker: ConnId, text: &str) {
        let text: Rc<[u8]> = text.as_bytes().into();
        for &id in self.0.iter().filter(|&&id| id != speaker) {
            if let Some(mut guest) = net.to(id) {
                guest.send_shared(Rc::clone(&text));
            }
        }
    }
}

impl Service for Chat {
    type Session = Name; // a guest is a name, once we know it

    fn on_open(&mut self, io: &mut Io<'_>, _origin: Origin) -> Result<Name> {
        io.send(b"What is your name?\n");
        io.arm(LOGIN, Duration::from_secs(60));
        Ok(None)
    }

    fn on_data(&mut self, io: &mut Io<'_>, name: &mut Name, input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 512)? else {
            return Ok(0); // not a whole line yet: call me again when more has come
        };
        let line = String::from_utf8_lossy(line);
        let text = match name {
            Some(name) => format!("{name}: {line}\n"),
            None => format!("* {} is here\n", name.insert(line.into_owned())),
        };
        if self.0.insert(io.id()) {
            io.disarm(LOGIN);
        }
        let speaker = io.id();
        self.tell_others(io.net(), speaker, &text);
        Ok(taken)
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, name: Name, _why: Reason) {
        if self.0.remove(&id) {
            self.tell_others(net, id, &format!("* {} left\n", name.unwrap_or_default()));
        }
    }

    /// The guests of a forked child's parent are not here: nobody of them is in this room.
    fn on_start(&mut self, net: &mut Net, _start: Start) {
        self.0.retain(|&id| net.to(id).is_some());
    }
}

fn main() -> ExitCode {
    let quiet = Duration::from_secs(3600); // people read more than they write
    common::serve("127.0.0.1:7778", Chat::default(), |server| {
        server.first_message_timeout(None).idle_timeout(quiet)
    })
}
