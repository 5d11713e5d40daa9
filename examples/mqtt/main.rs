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

use std::{process::ExitCode, time::Duration};

use heirloom::{
    ConnId, Connection, Drain, Error, Leaving, Net, Origin, Reason, Result, Service, Start,
};
use mqtt_proto::v3::{ConnectReturnCode, Packet};

use self::{broker::Broker, clients::MAX_BACKLOG, packets::MAX_PACKET};

/// Unsent output of one client: what is dropped beyond, and all that it may have to acknowledge.
const MAX_OUTPUT: usize = MAX_BACKLOG + 24 * 1024 * 1024;

/// Whose connection it is; nobody's, before CONNECT. What others must reach is in the broker.
type Session = Option<String>;

impl Service for Broker {
    type Session = Session;

    heirloom::carried! { version 1 }

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        Ok(None)
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
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
        match (&*session, packet) {
            (Some(name), packet) => self.serve(conn, name, &packet)?,
            (None, Packet::Connect(connect)) => {
                // One and a half times what it promises; zero: it may be silent for ever ([MQTT-3.1.2-24]).
                let limit = Duration::from_millis(1500) * u32::from(connect.keep_alive);
                *session = Some(self.connect(conn, connect)?);
                conn.set_read_idle(Some(limit).filter(|limit| !limit.is_zero()));
            }
            (None, _) => return Err("a packet before CONNECT".into()),
        }
        Ok(taken)
    }

    /// At a restart nobody needs to know; at a stop it is better to hear a FIN than a reset.
    fn on_drain(&mut self, conn: &mut Connection<'_>, _: &mut Session, why: &Leaving) -> Result {
        if why.is_stop() {
            conn.close();
        }
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, session: Session, _why: Reason) {
        if let Some(name) = session {
            self.leave(net, &name, id);
        }
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        self.leave_the_absent(net, &start);
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
