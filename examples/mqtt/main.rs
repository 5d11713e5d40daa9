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
//! QoS 0, 1 and 2 both ways, retained messages, wills, sessions that outlive their connection, takeover of a
//! client id, wildcards, keep-alive. Clients talk to each other through what is in memory, so a restart moves
//! them all, with what they have not acknowledged. With `--no-move` who was connected stays with the old process,
//! and there are two brokers from then on. When the service ends, sessions and retained messages end with it.
//!
//! This file knows when the reactor calls. `broker` is what packets do, `clients` what is on its way to each,
//! `topics` who wants what, `packets` are bytes. The filter in the variable `MQTT_REFUSE` is refused to all.
//!
//! Left out: passwords (everybody may do everything), TLS, MQTT 5, bridges, `$SYS`, files.

mod broker;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod packets;
mod topics;

use std::{
    io::{BufRead, BufWriter, Write},
    process::ExitCode,
    time::Duration,
};

use heirloom::{
    ConnId, Connection, Drain, Error, Leaving, Net, Origin, Reason, Result, Service, Start,
};
use mqtt_proto::v3::{ConnectReturnCode, Packet};

use self::{
    broker::{Broker, MAX_BACKLOG},
    packets::MAX_PACKET,
    topics::Key,
};

/// Unsent output of one client: what is dropped beyond, and all that it may have to acknowledge.
const MAX_OUTPUT: usize = MAX_BACKLOG + 24 * 1024 * 1024;

/// Of what goes to the next program. Another one is refused there: this format does not know the names of fields.
const VERSION: u16 = 1;

impl Service for Broker {
    /// Whose connection it is; nobody's, before CONNECT. What others must reach is in the broker.
    type Session = Option<Key>;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Option<Key>> {
        Ok(None)
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Option<Key>,
        input: &[u8],
    ) -> Result<usize> {
        let (packet, taken) = match packets::next(input) {
            Ok(None) => return Ok(0),
            Ok(Some(whole)) => whole,
            Err(why) if session.is_none() && packets::is_other_version(&why) => {
                return broker::refuse(conn, ConnectReturnCode::UnacceptableProtocolVersion);
            }
            Err(why) => return Err(Error::other(why)),
        };
        match (*session, packet) {
            (Some(key), packet) if self.is_at(key, conn.id()) => self.serve(conn, key, packet)?,
            (None, Packet::Connect(connect)) => {
                // One and a half times what it promises; zero: it may be silent for ever ([MQTT-3.1.2-24]).
                let limit = Duration::from_millis(1500) * u32::from(connect.keep_alive);
                *session = Some(self.connect(conn, connect)?);
                conn.set_read_idle(Some(limit).filter(|limit| !limit.is_zero()));
            }
            (None, _) => return Err("a packet before CONNECT".into()),
            (Some(_), _) => return Err("its client is elsewhere".into()),
        }
        Ok(taken)
    }

    /// At a restart nobody needs to know; at a stop it is better to hear a FIN than a reset.
    fn on_drain(
        &mut self,
        conn: &mut Connection<'_>,
        _: &mut Option<Key>,
        leaving: &Leaving,
    ) -> Result {
        if leaving.is_stop() {
            conn.close();
        }
        Ok(())
    }

    /// Of a client that is elsewhere by now nothing has ended.
    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Option<Key>, _why: Reason) {
        if let Some(key) = session.filter(|&key| self.is_at(key, id)) {
            self.leave(net, key);
        }
    }

    /// What changes is not noted, and clients wait meanwhile: a million messages for a hundred clients that are away
    /// took 0.16 s, since what many wait for is written once.
    fn save(&self, out: &mut dyn Write) -> Result {
        let out = postcard::to_io(&(VERSION, self), BufWriter::new(out)).map_err(Error::other)?;
        Ok(out.into_inner().map(drop).map_err(|e| e.into_error())?)
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        let mut bytes = Vec::new();
        saved.read_to_end(&mut bytes)?;
        *self = read(&bytes)?;
        Ok(())
    }

    fn export(&self, session: &Option<Key>) -> Option<Vec<u8>> {
        postcard::to_stdvec(&(VERSION, session)).ok()
    }

    fn import(&mut self, conn: &mut Connection<'_>, saved: &[u8]) -> Result<Option<Key>> {
        let key = read::<Option<Key>>(saved)?;
        if let Some(key) = key {
            self.clients.get_mut(key as usize).ok_or("nobody's session")?.conn = Some(conn.id());
        }
        Ok(key)
    }

    /// Who is not here has stayed with the old process, and is served there; but where the new process is gone,
    /// who was with it is gone, too.
    fn on_start(&mut self, net: &mut Net, start: Start) {
        let gone = self.clients.iter().filter(|(_, client)| match client.conn {
            Some(id) => net.get(id).is_none(),
            None => client.is_clean || client.will.is_some(),
        });
        for key in gone.map(|(key, _)| key as Key).collect::<Vec<_>>() {
            let client = &mut self.clients[key as usize];
            if !start.is_resumed() || client.conn.is_none() {
                client.will = None;
            }
            self.leave(net, key);
        }
    }
}

impl Broker {
    fn is_at(&self, key: Key, id: ConnId) -> bool {
        self.clients.get(key as usize).is_some_and(|client| client.conn == Some(id))
    }
}

fn read<T: for<'a> serde::Deserialize<'a>>(saved: &[u8]) -> Result<T> {
    match postcard::take_from_bytes::<u16>(saved).map_err(Error::other)? {
        (VERSION, rest) => postcard::from_bytes(rest).map_err(Error::other),
        (version, _) => Err(format!("format {version}, this program reads {VERSION}").into()),
    }
}

fn main() -> ExitCode {
    let defaults = common::Defaults { listen: "127.0.0.1:1883", moves: true };
    common::serve(defaults, Broker::default(), |server| {
        server
            .max_message(MAX_PACKET)
            .max_output(MAX_OUTPUT)
            .drain_on_stop(Drain::deadline(Duration::from_secs(1))) // none of them goes by itself
    })
}

#[cfg(test)]
mod tests;
