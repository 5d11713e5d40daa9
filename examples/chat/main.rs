//! Line chat: your first line is your name, each later line goes to everyone else.
//!
//! ```sh
//! cargo run --release --example chat -- --pid-file /tmp/chat.pid    # then, in two more terminals:
//! nc 127.0.0.1 7778
//! kill -HUP $(cat /tmp/chat.pid)                 # a new generation; everybody is still in the room
//! ```
//!
//! Guests share a room, so a restart moves them all. With `--no-move` those who are here stay with the old
//! generation and those who come meet in the new one: two rooms that tell each other who is there and what is said.

#[path = "../common/mod.rs"]
mod common;
mod elsewhere;

use elsewhere::{Elsewhere, Word};
use heirloom::{
    ConnId, Connection, Leaving, Net, Origin, Reason, Result, Service, Start, Timeouts, Timer,
    codec,
};
use std::{collections::BTreeSet, mem, process::ExitCode, rc::Rc, time::Duration};

const QUESTION: &str = "What is your name?\n";
const TIME_FOR_A_NAME: Duration = Duration::from_secs(60);
const LOGIN: Timer = Timer(0); // left alone, a timer that runs out closes its connection

/// The room: every connection that has given a name, and who is in the rooms of other generations. All sessions share
/// it; nothing else owns it.
#[derive(Default)]
struct Chat {
    here: BTreeSet<ConnId>,
    elsewhere: Elsewhere,
}

impl Chat {
    fn tell_here(&self, net: &mut Net, speaker: Option<ConnId>, text: &str) {
        let text: Rc<[u8]> = text.as_bytes().into();
        for &id in self.here.iter().filter(|&&id| Some(id) != speaker) {
            if let Some(mut guest) = net.get(id) {
                guest.send_shared(Rc::clone(&text));
            }
        }
    }

    /// Who is here by this name. Ids of those who have moved to another process lead nowhere.
    fn guest(&self, net: &mut Net, name: &str) -> Option<ConnId> {
        let mut here = self.here.iter().copied();
        here.find(|&id| net.session::<String>(id).is_some_and(|it| it == name))
    }

    /// Somebody comes in, unless the name is taken in one of the rooms.
    fn come_in(&mut self, conn: &mut Connection<'_>, name: &mut String, line: &str) {
        if self.guest(conn.net, line).is_some() || self.elsewhere.has(conn.net, line) {
            return conn.send(format!("* {line} is taken. {QUESTION}").as_bytes());
        }
        *name = line.to_owned();
        self.here.insert(conn.id());
        conn.cancel_timer(LOGIN);
        self.tell_here(conn.net, Some(conn.id()), &format!("* {line} is here\n"));
        Word::Came(line).tell_all(conn.net);
    }

    /// Somebody of that name is in another room. Two may have come at the same moment, each to one: the older
    /// room's guest keeps the name.
    fn note_elsewhere(&mut self, net: &mut Net, room: u64, name: &str) {
        self.elsewhere.add(room, name);
        if room > net.generation() {
            return;
        }
        let Some(id) = self.guest(net, name) else { return };
        self.here.remove(&id);
        net.session::<String>(id).into_iter().for_each(|name| drop(mem::take(name)));
        Word::Left(name).tell_all(net);
        if let Some(mut guest) = net.get(id) {
            guest.send(format!("* {name} is taken. {QUESTION}").as_bytes());
            guest.set_timer(LOGIN, TIME_FOR_A_NAME);
        }
    }
}

impl Service for Chat {
    type Session = String; // the guest's name; empty until we know it

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result<String> {
        conn.send(QUESTION.as_bytes());
        conn.set_timer(LOGIN, TIME_FOR_A_NAME);
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
        let line = String::from_utf8_lossy(line);
        if !name.is_empty() {
            let text = format!("{name}: {line}\n");
            self.tell_here(conn.net, Some(conn.id()), &text);
            Word::Line(&text).tell_all(conn.net);
        } else if !line.is_empty() {
            self.come_in(conn, name, &line);
        }
        Ok(taken)
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, name: String, _why: Reason) {
        if self.here.remove(&id) {
            self.tell_here(net, None, &format!("* {name} left\n"));
            Word::Left(&name).tell_all(net);
        }
    }

    /// Another room has told this one something.
    fn on_word(&mut self, net: &mut Net, from: u64, word: &[u8]) {
        match Word::of(word) {
            Some(Word::Who) => {
                for &id in &self.here {
                    let name = net.session::<String>(id).cloned();
                    name.into_iter().for_each(|name| Word::Here(&name).tell(net, from));
                }
            }
            Some(Word::Here(name)) => self.note_elsewhere(net, from, name),
            Some(Word::Came(name)) => {
                self.note_elsewhere(net, from, name);
                self.tell_here(net, None, &format!("* {name} is here\n"));
            }
            Some(Word::Left(name)) => {
                self.elsewhere.remove(from, name);
                self.tell_here(net, None, &format!("* {name} left\n"));
            }
            Some(Word::Line(text)) => self.tell_here(net, None, text),
            None => {}
        }
    }

    /// That room is closed, and who was there has left.
    fn on_undelivered(&mut self, _net: &mut Net, to: u64, _word: Vec<u8>) {
        self.elsewhere.forget(to);
    }

    /// For the next program. The room itself needs no `save`: it is made of those who arrive.
    fn export(&self, name: &String) -> Option<Vec<u8>> {
        Some(name.clone().into_bytes())
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<String> {
        self.here.extend(Some(conn.id()).filter(|_| !saved.is_empty()));
        Ok(String::from_utf8_lossy(saved).into_owned())
    }

    /// Those who have stayed with a forked child's parent, or are gone with a new side, are not in this room. Who is in
    /// the others, these say.
    fn on_start(&mut self, net: &mut Net, start: Start) {
        for id in start.elsewhere() {
            self.here.remove(id);
        }
        Word::Who.tell_all(net);
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
    let defaults = common::Defaults {
        listen: "127.0.0.1:7778",
        moves: true,
        alone: Some("a room is in one process, so one process serves"),
    };
    common::serve(defaults, Chat::default(), |server| {
        server.timeouts(Timeouts::new().first_message(None)) // people read more than they write
    })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
