//! One client, connected or not: what it has subscribed to, and what is on its way to it and from it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use heirloom::{ConnId, Connection, Result};
use mqtt_proto::{Pid, v3::Packet};
use serde::{Deserialize, Serialize};
use slab::Slab;

use super::packets::Message;

/// Messages with an acknowledgement that one client may have outstanding. The others wait.
const WINDOW: usize = 64;

/// Messages that wait for one client. A new one is dropped then, as by mosquitto: the others were there first.
const MAX_WAITING: usize = 10_000;

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Client {
    pub name: String,
    /// It is forgotten when its connection ends.
    pub is_clean: bool,
    /// In a new program it says so itself.
    #[serde(skip)]
    pub conn: Option<ConnId>,
    pub will: Option<Will>,
    pub subscriptions: BTreeMap<String, u8>,
    /// Packet ids of its messages of QoS 2 that were passed on and are not released.
    pub received: BTreeSet<u16>,
    /// To it, in order. The first `sent` of them are on their way.
    letters: VecDeque<Letter>,
    sent: usize,
    last_pid: u16,
}

/// Is published when a client is gone without a DISCONNECT.
#[derive(Debug, Serialize, Deserialize)]
pub struct Will {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub retain: bool,
}

/// A message on its way to one client.
#[derive(Debug, Serialize, Deserialize)]
struct Letter {
    message: u32,
    pid: u16,
    qos: u8,
    retain: bool,
    /// The client has it and may forget its packet id.
    is_released: bool,
}

/// Messages that somebody waits for, by number, each with how many do. They are written down once.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Messages(Slab<(u32, Message)>);

impl Messages {
    pub fn add(&mut self, message: Message) -> u32 {
        self.0.insert((0, message)) as u32
    }

    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    fn release(&mut self, letter: &Letter) {
        let at = letter.message as usize;
        self.0[at].0 -= 1;
        if self.0[at].0 == 0 {
            self.0.remove(at);
        }
    }
}

impl Client {
    pub fn named(name: &str) -> Client {
        Client { name: name.to_owned(), ..Client::default() }
    }

    pub fn has_room(&self) -> bool {
        self.letters.len() - self.sent < MAX_WAITING
    }

    pub fn push(&mut self, all: &mut Messages, message: u32, qos: u8, retain: bool) {
        all.0[message as usize].0 += 1;
        self.letters.push_back(Letter { message, pid: 0, qos, retain, is_released: false });
    }

    /// Sends what the window has room for.
    pub fn pump(&mut self, all: &Messages, conn: &mut Connection<'_>) {
        while self.sent < WINDOW && self.sent < self.letters.len() {
            let mut next = (1..=u16::MAX).map(|step| self.last_pid.wrapping_add(step));
            let is_free = |pid: &u16| *pid != 0 && self.on_its_way(*pid).is_none();
            self.last_pid = next.find(is_free).expect("the window is smaller");
            self.letters[self.sent].pid = self.last_pid;
            self.letters[self.sent].send(all, conn, false);
            self.sent += 1;
        }
    }

    /// Sends again what was not acknowledged on an earlier connection ([MQTT-4.4.0-1]), in the same order.
    pub fn resume(&mut self, all: &Messages, conn: &mut Connection<'_>) {
        self.letters.iter().take(self.sent).for_each(|letter| letter.send(all, conn, true));
        self.pump(all, conn);
    }

    fn on_its_way(&self, pid: u16) -> Option<usize> {
        self.letters.iter().take(self.sent).position(|letter| letter.pid == pid)
    }

    /// PUBACK of QoS 1, PUBCOMP of QoS 2: the client has it for good. One that is not known was said twice.
    pub fn complete(
        &mut self,
        all: &mut Messages,
        conn: &mut Connection<'_>,
        pid: Pid,
        qos: u8,
    ) -> Result {
        let Some(at) = self.on_its_way(pid.value()) else { return Ok(()) };
        let letter = &self.letters[at];
        if letter.qos != qos || letter.is_released != (qos == 2) {
            return Err("an acknowledgement of another kind".into());
        }
        all.release(letter);
        self.letters.remove(at);
        self.sent -= 1;
        self.pump(all, conn);
        Ok(())
    }

    /// PUBREC. One that is not known gets an answer, too, or it would be said for ever.
    pub fn release(&mut self, conn: &mut Connection<'_>, pid: Pid) -> Result {
        if let Some(at) = self.on_its_way(pid.value()) {
            if self.letters[at].qos != 2 {
                return Err("an acknowledgement of another kind".into());
            }
            self.letters[at].is_released = true;
        }
        send(conn, &Packet::Pubrel(pid));
        Ok(())
    }

    /// It is forgotten, and so is what only this one has waited for.
    pub fn end(self, all: &mut Messages) {
        self.letters.iter().for_each(|letter| all.release(letter));
    }
}

impl Letter {
    fn send(&self, all: &Messages, conn: &mut Connection<'_>, again: bool) {
        let Message { head, payload } = &all.0[self.message as usize].1;
        if self.is_released {
            return send(conn, &Packet::Pubrel(self.pid.try_into().expect("it is on its way")));
        }
        conn.send(&[0x30 | u8::from(again) << 3 | self.qos << 1 | u8::from(self.retain)]);
        conn.send(head);
        conn.send(&self.pid.to_be_bytes());
        conn.send_shared(Rc::clone(payload));
    }
}

/// Queues a packet.
pub fn send(conn: &mut Connection<'_>, packet: &Packet) {
    conn.send(packet.encode().expect("none of ours has 256 MiB").as_ref());
}
