//! A broker for MQTT 3.1.1: mosquitto_pub, mosquitto_sub, paho and whatever else speaks it work.
//!
//! ```sh
//! cargo run --release --example mqtt -- --pid-file /tmp/mqtt.pid    # then, elsewhere:
//! mosquitto_sub -v -q 2 -t 'house/#'
//! mosquitto_pub -q 2 -t house/kitchen -m 21.5
//! kill -HUP $(cat /tmp/mqtt.pid)                 # a new generation, with all clients
//! kill -USR2 $(cat /tmp/mqtt.pid)                # a new program, with all clients
//! mosquitto_pub -q 2 -t house/kitchen -m 21.6    # mosquitto_sub has noticed nothing
//! ```
//!
//! QoS 0, 1 and 2 both ways, retained messages, wills, sessions that outlive their connection, takeover, wildcards, keep-alive.
//! Clients talk to each other through what is in memory, so a restart moves them all, with what they have not acknowledged.
//!
//! With `--no-move` who is connected stays with the old process, and two brokers tell each other each message (of up to 32 KiB)
//! and each client that comes: it is ended in the other one. Its session is in the new one, where messages come at least once.
//!
//! This file knows when the reactor calls. `broker` is what packets do, `clients` what is on its way to each, `topics` who
//! wants what, `packets` are bytes. The filter in the variable `MQTT_REFUSE` is refused to all. Left out: passwords (everybody
//! may do everything), MQTT 5, bridges, `$SYS`, files: when the service ends, sessions and retained messages end with it.

mod broker;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod packets;
mod topics;

use std::{process::ExitCode, time::Duration};

use heirloom::{
    ConnId, Connection, Drain, Error, Leaving, Net, Origin, Reason, Result, Service, Start,
};
use mqtt_proto::v3::{ConnectReturnCode, Packet};

use self::{
    broker::Broker,
    clients::MAX_BACKLOG,
    packets::{MAX_PACKET, Message},
};

const MAX_OUTPUT: usize = MAX_BACKLOG + 24 * 1024 * 1024; // what may be lost, and all that is to be acknowledged

/// Whose connection it is; nobody's, before CONNECT. What others must reach is in the broker.
type Name = Option<String>;

impl Service for Broker {
    type Session = Name;

    heirloom::carried! { version 1 }

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Name> {
        Ok(None)
    }

    fn on_data(&mut self, conn: &mut Connection, name: &mut Name, input: &[u8]) -> Result<usize> {
        let (packet, taken) = match packets::next(input) {
            Ok(None) => return Ok(0),
            Ok(Some(whole)) => whole,
            Err(why) if name.is_none() && packets::is_other_version(&why) => {
                return broker::refuse(conn, ConnectReturnCode::UnacceptableProtocolVersion);
            }
            Err(why) => return Err(Error::other(why)),
        };
        match (&*name, packet) {
            (Some(name), packet) => self.serve(conn, name, &packet)?,
            (None, Packet::Connect(connect)) => {
                // One and a half times what it promises; zero: it may be silent for ever ([MQTT-3.1.2-24]).
                let limit = Duration::from_millis(1500) * u32::from(connect.keep_alive);
                *name = Some(self.connect(conn, connect)?);
                conn.set_read_idle(Some(limit).filter(|limit| !limit.is_zero()));
            }
            (None, _) => return Err("a packet before CONNECT".into()),
        }
        Ok(taken)
    }

    /// At a restart nobody needs to know; at a stop it is better to hear a FIN than a reset.
    fn on_drain(&mut self, conn: &mut Connection<'_>, _: &mut Name, why: &Leaving) -> Result {
        if why.is_stop() {
            conn.close();
        }
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, name: Name, _why: Reason) {
        name.iter().for_each(|name| self.leave(net, name, id));
    }

    fn after_fork_in_child(&mut self, net: &mut Net) -> Result {
        common::tls::renew(net)
    }

    /// Who is not here has stayed with the old process, and is served there; but where the new process is gone, who
    /// was with it is gone, too.
    fn on_start(&mut self, net: &mut Net, start: Start) {
        let absent = self.clients.iter_mut().filter_map(|(name, client)| {
            let id = client.conn.filter(|&id| net.get(id).is_none())?;
            client.will.take_if(|_| !start.is_resumed());
            Some((name.clone(), id))
        });
        for (name, id) in absent.collect::<Vec<_>>() {
            self.leave(net, &name, id);
        }
    }

    /// The broker of another generation has told all others what a client of its own has said: nobody passes it on.
    fn on_word(&mut self, net: &mut Net, from: u64, word: &[u8]) {
        let Some(packet) = self.hear(from, word) else { return };
        match packets::next(packet) {
            Ok(Some((Packet::Publish(publish), _))) => self.deliver(net, Message::of(&publish)),
            Ok(Some((Packet::Connect(connect), _))) => drop(self.end(net, &connect.client_id)),
            other => log::warn!("not what brokers tell each other: {other:?}"),
        }
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults {
        listen: "127.0.0.1:1883",
        moves: true,
        alone: Some(
            "a message reaches the subscribers of its own process alone, so one process serves",
        ),
    };
    common::serve(defaults, Broker::default(), |server| {
        server
            .max_message(MAX_PACKET)
            .max_output(MAX_OUTPUT)
            .drain_on_stop(Drain::deadline(Duration::from_secs(1))) // none of them goes by itself
    })
}

#[cfg(test)]
mod tests;
