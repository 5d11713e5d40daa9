//! One client, connected or not: what it has subscribed to, and what is on its way to it and from it.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;

use heirloom::{ConnId, Connection, Net, Result};
use mqtt_proto::{Pid, QosPid, v3::Packet};
use serde::{Deserialize, Serialize};

use super::packets::Message;

const WINDOW: usize = 64; // messages with an acknowledgement that a client may have outstanding: the others wait
const MAX_WAITING: usize = 10_000; // a new one is dropped then, as by mosquitto: the others were there first
pub const MAX_BACKLOG: usize = 8 * 1024 * 1024; // of unsent bytes: what may be lost is lost then (QoS 0)

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Client {
    /// It is forgotten when its connection ends.
    pub is_clean: bool,
    pub conn: Option<ConnId>,
    /// Is published when it is gone without a DISCONNECT.
    pub will: Option<Message>,
    pub filters: BTreeSet<String>,
    /// Packet ids of its messages of QoS 2 that were passed on and are not released.
    pub received: BTreeSet<u16>,
    /// To it, in order. The first `sent` of them are on their way.
    pub letters: VecDeque<Letter>,
    sent: usize,
    last_pid: u16,
}

/// A message for one client; without an acknowledgement it does not wait.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letter {
    pub message: Message,
    pid: u16,
    /// The client has it and may forget its packet id.
    is_released: bool,
}

impl Client {
    /// A message for it, which goes at once, waits, or is lost where it may be or there are too many.
    pub fn give(&mut self, net: &mut Net, message: Message) {
        let conn = self.conn.and_then(|id| net.get(id));
        let letter = Letter { message, pid: 0, is_released: false };
        match (letter.message.qos, conn) {
            (0, Some(mut conn)) if conn.queued() < MAX_BACKLOG => letter.send(&mut conn, false),
            (1.., conn) if self.letters.len() - self.sent < MAX_WAITING => {
                self.letters.push_back(letter);
                conn.into_iter().for_each(|mut conn| self.pump(&mut conn));
            }
            _ => {}
        }
    }

    /// Sends what the window has room for.
    fn pump(&mut self, conn: &mut Connection<'_>) {
        while self.sent < WINDOW && self.sent < self.letters.len() {
            let mut next = (1..=u16::MAX).map(|step| self.last_pid.wrapping_add(step));
            let is_free = |pid: &u16| *pid != 0 && self.on_its_way(*pid).is_none();
            self.last_pid = next.find(is_free).expect("the window is smaller");
            self.letters[self.sent].pid = self.last_pid;
            self.letters[self.sent].send(conn, false);
            self.sent += 1;
        }
    }

    /// Sends again what was not acknowledged on an earlier connection ([MQTT-4.4.0-1]), in the same order.
    pub fn resume(&mut self, conn: &mut Connection<'_>) {
        self.letters.iter().take(self.sent).for_each(|letter| letter.send(conn, true));
        self.pump(conn);
    }

    fn on_its_way(&self, pid: u16) -> Option<usize> {
        self.letters.iter().take(self.sent).position(|letter| letter.pid == pid)
    }

    /// Whether a message is to be passed on: of QoS 2 when it comes first, and its packet id is known until released.
    pub fn receive(&mut self, conn: &mut Connection<'_>, qos_pid: QosPid) -> bool {
        let (answer, is_new) = match qos_pid {
            QosPid::Level0 => return true,
            QosPid::Level1(pid) => (Packet::Puback(pid), true),
            QosPid::Level2(pid) => (Packet::Pubrec(pid), self.received.insert(pid.value())),
        };
        send(conn, &answer);
        is_new
    }

    /// PUBACK, PUBREC or PUBCOMP. One that nothing waits for was said twice.
    pub fn acknowledge(&mut self, conn: &mut Connection<'_>, pid: Pid, packet: &Packet) -> Result {
        let Some(at) = self.on_its_way(pid.value()) else { return Ok(()) };
        let letter = &mut self.letters[at];
        match (packet, letter.message.qos, letter.is_released) {
            (Packet::Puback(_), 1, _) | (Packet::Pubcomp(_), 2, true) => {
                self.letters.remove(at);
                self.sent -= 1;
                self.pump(conn);
            }
            (Packet::Pubrec(_), 2, _) => letter.is_released = true,
            _ => return Err("an acknowledgement of another kind".into()),
        }
        Ok(())
    }
}

impl Letter {
    fn send(&self, conn: &mut Connection<'_>, dup: bool) {
        if self.is_released {
            return send(conn, &Packet::Pubrel(self.pid.try_into().expect("it is on its way")));
        }
        conn.send(&self.message.head(dup, self.pid));
        conn.send_shared(Rc::clone(&self.message.payload));
    }
}

/// Queues a packet.
pub fn send(conn: &mut Connection<'_>, packet: &Packet) {
    conn.send(packet.encode().expect("none of ours has 256 MiB").as_ref());
}
