//! What packets do: who comes and goes, who subscribes to what, and who gets a message.

use std::{
    collections::{BTreeMap, HashMap},
    env,
};

use heirloom::{ConnId, Connection, Net, Result, Start};
use mqtt_proto::v3::{Connack, Connect, ConnectReturnCode as Code, Packet, Publish, Subscribe};
use serde::{Deserialize, Serialize};

use super::{
    clients::{Client, send},
    packets::{self, Message},
    topics::Topics,
};

/// Clients with a session, connected or not. Who comes then is told that the server is not available.
const MAX_CLIENTS: usize = 100_000;

/// Of one client. One more is refused in SUBACK.
const MAX_SUBSCRIPTIONS: usize = 10_000;

/// Topics with a retained message. That of one more is delivered and not kept.
const MAX_RETAINED: usize = 10_000;

/// All that outlives a connection: plain data.
#[derive(Default, Serialize, Deserialize)]
pub struct Broker {
    /// By name.
    pub clients: HashMap<String, Client>,
    topics: Topics,
    retained: BTreeMap<String, Message>,
}

impl Broker {
    /// Answers whose connection it is from now on.
    pub fn connect(&mut self, conn: &mut Connection<'_>, connect: Connect) -> Result<String> {
        let name = match &*connect.client_id {
            "" if connect.clean_session => format!("nameless-{:x}", conn.id().to_bits()),
            "" => return refuse(conn, Code::IdentifierRejected),
            name => name.to_owned(),
        };
        if let Some(id) = self.clients.get(&name).and_then(|client| client.conn) {
            conn.other(id).iter_mut().for_each(Connection::close); // [MQTT-3.1.4-2]
            self.leave(conn.net, &name, id);
        }
        if connect.clean_session {
            self.forget(&name);
        }
        let is_known = self.clients.contains_key(&name);
        if !is_known && self.clients.len() >= MAX_CLIENTS {
            return refuse(conn, Code::ServerUnavailable);
        }
        send(conn, &Connack::new(is_known, Code::Accepted).into());
        let client = self.clients.entry(name.clone()).or_default();
        client.conn = Some(conn.id());
        client.is_clean = connect.clean_session;
        client.will = connect
            .last_will
            .map(|will| Message::new(&will.topic_name, &will.message, will.qos, will.retain));
        client.resume(conn);
        Ok(name)
    }

    /// A client has lost its connection, and is nowhere else by now: the will is due, if it still has one
    /// ([MQTT-3.1.2-8]).
    pub fn leave(&mut self, net: &mut Net, name: &str, id: ConnId) {
        let client = self.clients.get_mut(name).filter(|client| client.conn == Some(id));
        let Some(client) = client else { return };
        client.conn = None;
        let will = client.will.take();
        if client.is_clean {
            self.forget(name);
        }
        if let Some(will) = will {
            self.publish(net, will);
        }
    }

    /// After a restart: who is not here has stayed with the old process, and is served there; but where the new
    /// process is gone, who was with it is gone, too.
    pub fn leave_the_absent(&mut self, net: &mut Net, start: &Start) {
        let absent = self.clients.iter_mut().filter_map(|(name, client)| {
            let id = client.conn.filter(|&id| net.get(id).is_none())?;
            client.will.take_if(|_| !start.is_resumed());
            Some((name.clone(), id))
        });
        for (name, id) in absent.collect::<Vec<_>>() {
            self.leave(net, &name, id);
        }
    }

    fn forget(&mut self, name: &str) {
        let client = self.clients.remove(name).unwrap_or_default();
        client.filters.iter().for_each(|filter| self.topics.unsubscribe(filter, name));
    }

    /// What a client that is connected says.
    pub fn serve(&mut self, conn: &mut Connection<'_>, name: &str, packet: &Packet) -> Result {
        let client = self.clients.get_mut(name).ok_or("its client is forgotten")?;
        match packet {
            Packet::Publish(publish) => {
                if client.receive(conn, publish.qos_pid) {
                    let Publish { topic_name, payload, qos_pid, retain, .. } = publish;
                    self.publish(
                        conn.net,
                        Message::new(topic_name, payload, qos_pid.qos(), *retain),
                    );
                }
            }
            Packet::Puback(pid) | Packet::Pubcomp(pid) => client.acknowledge(conn, *pid, packet)?,
            Packet::Pubrec(pid) => {
                client.acknowledge(conn, *pid, packet)?;
                send(conn, &Packet::Pubrel(*pid)); // even if it is not known, or it is said for ever
            }
            Packet::Pubrel(pid) => {
                client.received.remove(&pid.value());
                send(conn, &Packet::Pubcomp(*pid));
            }
            Packet::Subscribe(subscribe) => self.subscribe(conn, name, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.topics {
                    client.filters.remove(&**filter);
                    self.topics.unsubscribe(filter, name);
                }
                send(conn, &Packet::Unsuback(unsubscribe.pid));
            }
            Packet::Pingreq => send(conn, &Packet::Pingresp),
            Packet::Disconnect => {
                client.will = None;
                conn.close();
            }
            _ => return Err("a second CONNECT".into()),
        }
        Ok(())
    }

    fn publish(&mut self, net: &mut Net, message: Message) {
        for (name, wanted) in self.topics.find(&message.topic) {
            let qos = message.qos.min(wanted);
            let client = self.clients.get_mut(name).expect("who has subscriptions is known");
            client.give(net, Message { qos, retain: false, ..message.clone() });
        }
        if message.retain && message.payload.is_empty() {
            self.retained.remove(&*message.topic);
        } else if message.retain
            && (self.retained.len() < MAX_RETAINED || self.retained.contains_key(&*message.topic))
        {
            self.retained.insert(message.topic.to_string(), message);
        }
    }

    fn subscribe(&mut self, conn: &mut Connection<'_>, name: &str, subscribe: &Subscribe) {
        let client = self.clients.get_mut(name).expect("it is served");
        let (mut codes, mut accepted) = (Vec::new(), Topics::default());
        for (filter, qos) in &subscribe.topics {
            let is_one_more = !client.filters.contains(&**filter);
            let is_too_many = is_one_more && client.filters.len() >= MAX_SUBSCRIPTIONS;
            let is_forbidden = env::var("MQTT_REFUSE").is_ok_and(|refused| refused == **filter);
            if is_too_many || is_forbidden || !packets::is_topic(filter) {
                codes.push(0x80);
                continue;
            }
            client.filters.insert(filter.to_string());
            self.topics.subscribe(filter, name, *qos as u8);
            accepted.subscribe(filter, name, *qos as u8);
            codes.push(*qos as u8);
        }
        conn.send(&packets::suback(subscribe.pid, &codes));
        for kept in self.retained.values() {
            for (_, wanted) in accepted.find(&kept.topic) {
                client.give(conn.net, Message { qos: kept.qos.min(wanted), ..kept.clone() });
            }
        }
    }
}

/// Says why, and closes.
pub fn refuse<T>(conn: &mut Connection<'_>, code: Code) -> Result<T> {
    send(conn, &Connack::new(false, code).into());
    Err(format!("refused: {code:?}").into())
}
