//! Flows: an echo over datagrams whose flows stay with the generation that they began with.
//!
//! ```sh
//! cargo run --release --example flows -- --datagrams 127.0.0.1:7784 --pid-file /tmp/flows.pid    # then, elsewhere:
//! nc -u 127.0.0.1 7784                           # new 1 hello, 0.1 2 again, 0.1 3 bye
//! nc 127.0.0.1 7784                              # status
//! kill -HUP $(cat /tmp/flows.pid)                # your flow goes on, by the old process
//! ```
//!
//! A datagram is `FLOW SEQ TEXT`; the first of a flow says `new`, and is answered with the flow's id,
//! GENERATION.NUMBER. An answer is `FLOW SEQ COUNT PID TEXT`, where COUNT is how many datagrams of the
//! flow have come, or `FLOW gone`. The text `bye` ends a flow; so does a minute of silence.
//! What comes by TCP is a line, `status`, and is answered with counts.

#[path = "../common/mod.rs"]
mod common;
mod table;

use heirloom::{
    Alarm, Connection, DatagramPeer, Hold, Net, Origin, Result, Service, SocketId, Start, codec,
};
use std::{process, process::ExitCode, time::Duration};
use table::{FlowId, Flows};

/// A flow that is silent for this long is over.
const SILENCE: Duration = Duration::from_secs(60);

/// How often silent flows are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// The longest line of the status port.
const LINE: usize = 100;

#[derive(Default)]
struct Echo {
    flows: Flows,
    /// Taken while there are flows: a process that was replaced stays for them.
    hold: Option<Hold>,
}

impl Echo {
    /// `None`: nothing that would be worth an answer.
    fn answer(&mut self, net: &mut Net, bytes: &[u8]) -> Option<String> {
        let mut words = std::str::from_utf8(bytes).ok()?.trim_end().splitn(3, ' ');
        let (flow, seq, text) = (words.next()?, words.next()?, words.next().unwrap_or_default());
        let id = match flow {
            "new" if net.is_draining() => return None, // nobody else is left to begin it
            "new" => self.flows.begin(net.generation(), net.now())?,
            _ => flow.parse().ok()?,
        };
        let Some(count) = self.flows.count(id, net.now()) else {
            return Some(format!("{flow} gone"));
        };
        if text == "bye" {
            self.flows.end(id);
        }
        Some(format!("{id} {seq} {count} {} {text}", process::id()))
    }

    /// Holds the process while there are flows, and no longer.
    fn settle(&mut self, net: &mut Net) {
        match (self.flows.len(), self.hold.take()) {
            (0, Some(hold)) => net.unhold(hold),
            (0, None) => {}
            (_, hold) => self.hold = Some(hold.unwrap_or_else(|| net.hold("flows"))),
        }
    }
}

impl Service for Echo {
    type Session = ();

    fn on_datagram(&mut self, net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
        if let Some(answer) = self.answer(net, bytes) {
            net.send_to(socket, from, answer.as_bytes());
        }
        self.settle(net);
    }

    /// The server chose the id, and has put the generation in it.
    fn generation_of(&self, _: SocketId, _: &DatagramPeer, bytes: &[u8]) -> Option<u64> {
        let flow = bytes.split(|&byte| byte == b' ').next()?;
        let id: FlowId = std::str::from_utf8(flow).ok()?.parse().ok()?;
        Some(id.generation)
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        if start.is_forked() {
            // These are copies: the flows themselves are the parent's, and so is the hold.
            (self.flows, self.hold) = (Flows::default(), None);
        }
        net.set_alarm(Alarm(0), SWEEP);
    }

    /// Alarms go to the new process. This one still has flows that may fall silent.
    fn on_retire(&mut self, net: &mut Net) {
        net.set_alarm(Alarm(0), SWEEP);
    }

    fn on_alarm(&mut self, net: &mut Net, alarm: Alarm) {
        self.flows.end_silent(net.now(), SILENCE);
        self.settle(net);
        net.set_alarm(alarm, SWEEP);
    }

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, LINE)? else { return Ok(0) };
        let answer = match line {
            b"status" => {
                let (flows, net) = (self.flows.len(), &mut *conn.net);
                let (generation, pid) = (net.generation(), process::id());
                format!("{generation} {pid} flows: {flows} {:?}\n", net.stats())
            }
            _ => "what?\n".to_owned(),
        };
        conn.send(answer.as_bytes());
        Ok(taken)
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:7784", moves: false, alone: None };
    common::serve(defaults, Echo::default(), |server| server)
}
