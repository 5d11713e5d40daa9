//! Line chat: your first line is your name, each later line goes to everyone else.
//!
//! ```sh
//! cargo run --release --example chat -- --pid-file /tmp/chat.pid    # then, in two more terminals:
//! nc 127.0.0.1 7778
//! kill -HUP $(cat /tmp/chat.pid)                 # a new generation; everybody is still in the room
//! ```
//!
//! Guests share a room, so a restart moves them all. With `--no-move` those who are here would stay with
//! the old generation and those who come meet in the new one: two rooms that do not hear each other.

#[path = "../common/mod.rs"]
mod common;

use heirloom::{
    ConnId, Connection, Leaving, Net, Origin, Reason, Result, Service, Start, Timeouts, Timer,
    codec,
};
use std::{collections::BTreeSet, process::ExitCode, rc::Rc, time::Duration};

const LOGIN: Timer = Timer(0); // left alone, a timer that runs out closes its connection

/// The room: every connection that has given a name. All sessions share it; nothing else owns it.
#[derive(Default)]
struct Chat(BTreeSet<ConnId>);

impl Chat {
    fn tell_others(&self, net: &mut Net, speaker: ConnId, text: &str) {
        let text: Rc<[u8]> = text.as_bytes().into();
        for &id in self.0.iter().filter(|&&id| id != speaker) {
            if let Some(mut guest) = net.get(id) {
                guest.send_shared(Rc::clone(&text));
            }
        }
    }
}

impl Service for Chat {
    type Session = String; // the guest's name; empty until we know it

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<String> {
        conn.send(b"What is your name?\n");
        conn.set_timer(LOGIN, Duration::from_secs(60));
        Ok(String::new())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        name: &mut String,
        input: &[u8],
    ) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 512)? else {
            return Ok(0); // not a whole line yet: call me again when more has come
        };
        let (line, speaker) = (String::from_utf8_lossy(line), conn.id());
        let mut text = format!("{name}: {line}\n");
        if name.is_empty() && !line.is_empty() {
            text = format!("* {line} is here\n");
            *name = line.into_owned();
            self.0.insert(speaker);
            conn.cancel_timer(LOGIN);
        }
        if !name.is_empty() {
            self.tell_others(conn.net, speaker, &text);
        }
        Ok(taken)
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, name: String, _why: Reason) {
        if self.0.remove(&id) {
            self.tell_others(net, id, &format!("* {name} left\n"));
        }
    }

    /// For the next program. The room itself needs no `save`: it is made of those who arrive.
    fn export(&self, name: &String) -> Option<Vec<u8>> {
        Some(name.clone().into_bytes())
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<String> {
        self.0.extend(Some(conn.id()).filter(|_| !saved.is_empty()));
        Ok(String::from_utf8_lossy(saved).into_owned())
    }

    /// Those who have stayed with a forked child's parent, or are gone with a new side, are not in this room.
    fn on_start(&mut self, _net: &mut Net, start: Start) {
        for id in start.elsewhere() {
            self.0.remove(id);
        }
    }

    /// After a restart those who are here may talk on; at a stop there is one last word.
    fn on_drain(&mut self, conn: &mut Connection<'_>, _: &mut String, why: &Leaving) -> Result {
        if why.is_stop() {
            conn.send(b"* the chat closes: good night\n");
            conn.close();
        } else {
            conn.send(b"* there is a new room: call again to be in it\n");
        }
        Ok(())
    }

    /// A certificate that was renewed is shown from here on.
    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        common::tls::renew(net)
    }

    /// It owns nothing but memory.
    fn discard(&mut self, session: String) {
        drop(session);
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:7778", moves: true };
    common::serve(defaults, Chat::default(), |server| {
        server.timeouts(Timeouts::new().first_message(None)) // people read more than they write
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
