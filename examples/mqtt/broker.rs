//! What packets do: who comes and goes, who subscribes to what, and who gets a message.

use std::collections::{BTreeMap, HashMap};

use heirloom::{ConnId, Connection, Net, Result};
use mqtt_proto::v3::{Connack, Connect, ConnectReturnCode as Code, Packet, Subscribe};
use serde::{Deserialize, Serialize};

use super::clients::{Client, send};
use super::packets::{self, Message};
use super::topics::Topics;

const MAX_CLIENTS: usize = 100_000; // connected or not: who comes then is told that the server is not available
const MAX_SUBSCRIPTIONS: usize = 10_000; // of one client: one more is refused in SUBACK
const MAX_RETAINED: usize = 10_000; // a message of one more topic is delivered and not kept

/// All that outlives a connection: plain data. Clients are by name.
#[derive(Default, Serialize, Deserialize)]
pub struct Broker {
    pub clients: HashMap<String, Client>,
    topics: Topics,
    retained: BTreeMap<String, Message>,
    /// By generation, how many words it had told when all that they say was in here. A word may come later than a roll back has
    /// brought that back.
    #[serde(default)]
    told: BTreeMap<u64, u64>,
}

impl Broker {
    /// Answers whose connection it is from now on.
    pub fn connect(&mut self, conn: &mut Connection<'_>, connect: Connect) -> Result<String> {
        let name = match &*connect.client_id {
            "" if connect.clean_session => format!("nameless-{:x}", conn.id().to_bits()),
            "" => return refuse(conn, Code::IdentifierRejected),
            name => name.to_owned(),
        };
        if let Some(id) = self.end(conn.net, &name) {
            self.leave(conn.net, &name, id);
        }
        let came = Packet::from(Connect::new(connect.client_id, 0));
        self.tell(conn.net, || came.encode().expect("it is short"));
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

    /// A client is somewhere else by now ([MQTT-3.1.4-2]). Its connection ends, unless that has moved to another process.
    pub fn end(&self, net: &mut Net, name: &str) -> Option<ConnId> {
        let id = self.clients.get(name)?.conn?;
        net.get(id).iter_mut().for_each(Connection::close);
        Some(id)
    }

    /// A client has lost its connection, and has no other one: the will is due, if it still has one ([MQTT-3.1.2-8]).
    pub fn leave(&mut self, net: &mut Net, name: &str, id: ConnId) {
        let client = self.clients.get_mut(name).filter(|client| client.conn == Some(id));
        let Some(client) = client else { return };
        client.conn = None;
        let will = client.will.take();
        if client.is_clean || net.is_draining() {
            self.forget(name); // where a new process serves, that has the session
        }
        will.into_iter().for_each(|will| self.publish(net, will));
    }

    fn forget(&mut self, name: &str) {
        let client = self.clients.remove(name).unwrap_or_default();
        client.filters.iter().for_each(|filter| self.topics.unsubscribe(filter.split('/'), name));
    }

    /// What a client that is connected says.
    pub fn serve(&mut self, conn: &mut Connection<'_>, name: &str, packet: &Packet) -> Result {
        let client = self.clients.get_mut(name).ok_or("its client is forgotten")?;
        match packet {
            Packet::Publish(publish) => {
                if client.receive(conn, publish.qos_pid) {
                    self.publish(conn.net, Message::of(publish));
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
                    self.topics.unsubscribe(filter.split('/'), name);
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
        self.tell(net, || [&*message.head(false, 1), &*message.payload].concat());
        self.deliver(net, message);
    }

    /// Tells the brokers of other generations, which have clients of their own, what they are to heed as well.
    fn tell<T: AsRef<[u8]>>(&mut self, net: &mut Net, packet: impl Fn() -> T) {
        let others = net.generations();
        if others.is_empty() {
            return;
        }
        let number = self.told.entry(net.generation()).or_default();
        *number += 1;
        let word = [&number.to_le_bytes()[..], packet().as_ref()].concat();
        for other in others {
            if let Err(why) = net.tell(other.number, word.clone()) {
                log::warn!("{why}");
            }
        }
    }

    /// The packet in a word of another generation, unless what it says is in here.
    pub fn hear<'a>(&self, from: u64, word: &'a [u8]) -> Option<&'a [u8]> {
        let (number, packet) = word.split_first_chunk()?;
        let is_news = self.told.get(&from).is_none_or(|told| u64::from_le_bytes(*number) > *told);
        is_news.then_some(packet)
    }

    /// To those who are here or away, but not where a new process serves: there they come back.
    pub fn deliver(&mut self, net: &mut Net, message: Message) {
        for (name, wanted) in self.topics.find(&message.topic) {
            let client = self.clients.get_mut(name).expect("who has subscriptions is known");
            if client.conn.is_some() || !net.is_draining() {
                let qos = message.qos.min(wanted);
                client.give(net, Message { qos, retain: false, ..message.clone() });
            }
        }
        if message.retain {
            self.retained.remove(&*message.topic);
            if !message.payload.is_empty() && self.retained.len() < MAX_RETAINED {
                self.retained.insert(message.topic.to_string(), message);
            }
        }
    }

    fn subscribe(&mut self, conn: &mut Connection<'_>, name: &str, subscribe: &Subscribe) {
        let client = self.clients.get_mut(name).expect("it is served");
        let (mut codes, mut accepted) = (Vec::new(), Topics::default());
        for (filter, qos) in &subscribe.topics {
            let is_full = client.filters.len() >= MAX_SUBSCRIPTIONS;
            let is_too_many = is_full && !client.filters.contains(&**filter);
            let is_forbidden =
                std::env::var("MQTT_REFUSE").is_ok_and(|refused| refused == **filter);
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
