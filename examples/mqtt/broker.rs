//! What packets do: who comes and goes, who subscribes to what, and who gets a message.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    ops::Bound::{Included, Unbounded},
    rc::Rc,
};

use heirloom::{Connection, Net, Result};
use mqtt_proto::{
    QosPid,
    v3::{Connack, Connect, ConnectReturnCode as Code, Packet, Publish, Subscribe},
};
use serde::{Deserialize, Serialize};
use slab::Slab;

use super::{
    clients::{Client, Messages, Will, send},
    packets::{self, Message},
    topics::{self, Key, Topics},
};

/// Clients with a session, connected or not. Who comes then is told that the server is not available.
const MAX_CLIENTS: usize = 100_000;

/// Of one client. One more is refused in SUBACK.
const MAX_SUBSCRIPTIONS: usize = 10_000;

/// Topics with a retained message. That of one more is delivered and not kept.
const MAX_RETAINED: usize = 10_000;

/// A client with so many unsent bytes gets no more messages of QoS 0, which may be lost.
pub const MAX_BACKLOG: usize = 8 * 1024 * 1024;

/// All that outlives a connection: plain data, and numbers where something has to be found again.
#[derive(Default, Serialize, Deserialize)]
pub struct Broker {
    pub clients: Slab<Client>,
    by_name: HashMap<String, Key>,
    topics: Topics,
    pub messages: Messages,
    retained: BTreeMap<String, (u8, Rc<[u8]>)>,
    #[serde(skip)]
    found: Vec<(Key, u8)>,
}

impl Broker {
    /// Answers whose connection it is from now on.
    pub fn connect(&mut self, conn: &mut Connection<'_>, connect: Connect) -> Result<Key> {
        let name = match &*connect.client_id {
            "" if connect.clean_session => format!("nameless-{:x}", conn.id().to_bits()),
            "" => return refuse(conn, Code::IdentifierRejected),
            name => name.to_owned(),
        };
        if let Some(&key) = self.by_name.get(&name) {
            if let Some(id) = self.clients[key as usize].conn {
                conn.other(id).iter_mut().for_each(Connection::close); // [MQTT-3.1.4-2]
                self.leave(conn.net, key);
            }
            if connect.clean_session && self.by_name.contains_key(&name) {
                self.forget(key);
            }
        }
        let known = self.by_name.get(&name).copied();
        if known.is_none() && self.clients.len() >= MAX_CLIENTS {
            return refuse(conn, Code::ServerUnavailable);
        }
        let key = known.unwrap_or_else(|| self.clients.insert(Client::named(&name)) as Key);
        self.by_name.insert(name, key);
        send(conn, &Connack::new(known.is_some(), Code::Accepted).into());
        let client = &mut self.clients[key as usize];
        client.conn = Some(conn.id());
        client.is_clean = connect.clean_session;
        client.will = connect.last_will.map(|will| Will {
            topic: will.topic_name.to_string(),
            payload: will.message.to_vec(),
            qos: will.qos as u8,
            retain: will.retain,
        });
        client.resume(&self.messages, conn);
        Ok(key)
    }

    /// A client has lost its connection: the will, if it still has one, is due ([MQTT-3.1.2-8]).
    pub fn leave(&mut self, net: &mut Net, key: Key) {
        let client = &mut self.clients[key as usize];
        client.conn = None;
        let will = client.will.take();
        if client.is_clean {
            self.forget(key);
        }
        if let Some(Will { topic, payload, qos, retain }) = will {
            self.publish(net, &topic, &payload, qos, retain);
        }
    }

    fn forget(&mut self, key: Key) {
        let client = self.clients.remove(key as usize);
        self.by_name.remove(&client.name);
        client.subscriptions.keys().for_each(|filter| self.topics.unsubscribe(filter, key));
        client.end(&mut self.messages);
    }

    /// What a client that is connected says.
    pub fn serve(&mut self, conn: &mut Connection<'_>, key: Key, packet: Packet) -> Result {
        let (client, all) = (&mut self.clients[key as usize], &mut self.messages);
        match packet {
            Packet::Publish(publish) => self.receive(conn, key, &publish),
            Packet::Puback(pid) => client.complete(all, conn, pid, 1)?,
            Packet::Pubrec(pid) => client.release(conn, pid)?,
            Packet::Pubcomp(pid) => client.complete(all, conn, pid, 2)?,
            Packet::Pubrel(pid) => {
                client.received.remove(&pid.value());
                send(conn, &Packet::Pubcomp(pid));
            }
            Packet::Subscribe(subscribe) => self.subscribe(conn, key, subscribe),
            Packet::Unsubscribe(unsubscribe) => {
                for filter in &unsubscribe.topics {
                    client.subscriptions.remove(&**filter);
                    self.topics.unsubscribe(filter, key);
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

    /// A message of QoS 2 is passed on when it comes first; its packet id is known until it is released.
    fn receive(&mut self, conn: &mut Connection<'_>, key: Key, publish: &Publish) {
        let is_new = match publish.qos_pid {
            QosPid::Level2(pid) => self.clients[key as usize].received.insert(pid.value()),
            _ => true,
        };
        match publish.qos_pid {
            QosPid::Level0 => {}
            QosPid::Level1(pid) => send(conn, &Packet::Puback(pid)),
            QosPid::Level2(pid) => send(conn, &Packet::Pubrec(pid)),
        }
        if is_new {
            let qos = publish.qos_pid.qos() as u8;
            self.publish(conn.net, &publish.topic_name, &publish.payload, qos, publish.retain);
        }
    }

    fn publish(&mut self, net: &mut Net, topic: &str, payload: &[u8], qos: u8, retain: bool) {
        if retain && payload.is_empty() {
            self.retained.remove(topic);
        } else if retain
            && (self.retained.len() < MAX_RETAINED || self.retained.contains_key(topic))
        {
            self.retained.insert(topic.to_owned(), (qos, payload.into()));
        }
        let mut found = std::mem::take(&mut self.found);
        self.topics.find(topic, &mut found);
        let mut parcel = Parcel { topic, payload, retain: false, plain: None, message: None };
        for (key, wanted) in found.drain(..) {
            parcel.give(net, &mut self.clients[key as usize], &mut self.messages, qos.min(wanted));
        }
        self.found = found;
    }

    fn subscribe(&mut self, conn: &mut Connection<'_>, key: Key, subscribe: Subscribe) {
        let client = &mut self.clients[key as usize];
        let (mut codes, mut accepted) = (Vec::new(), Vec::new());
        for (filter, qos) in subscribe.topics {
            let is_one_more = !client.subscriptions.contains_key(&*filter);
            let is_too_many = is_one_more && client.subscriptions.len() >= MAX_SUBSCRIPTIONS;
            let is_forbidden = env::var("MQTT_REFUSE").is_ok_and(|refused| refused == *filter);
            if is_too_many || is_forbidden || !packets::is_topic(&filter) {
                codes.push(0x80);
                continue;
            }
            client.subscriptions.insert(filter.to_string(), qos as u8);
            self.topics.subscribe(&filter, key, qos as u8);
            codes.push(qos as u8);
            accepted.push((filter, qos as u8));
        }
        conn.send(&packets::suback(subscribe.pid, &codes));
        for (filter, wanted) in &accepted {
            let start = topics::start(filter);
            let near = self.retained.range::<str, _>((Included(start), Unbounded));
            let near = near.take_while(|(topic, _)| topic.starts_with(start));
            for (topic, (qos, payload)) in near.filter(|(topic, _)| topics::matches(filter, topic))
            {
                let mut parcel =
                    Parcel { topic, payload, retain: true, plain: None, message: None };
                parcel.give(conn.net, client, &mut self.messages, (*qos).min(*wanted));
            }
        }
    }
}

/// A message for one client or for many: encoded when somebody wants it, and once.
struct Parcel<'a> {
    topic: &'a str,
    payload: &'a [u8],
    retain: bool,
    plain: Option<Rc<[u8]>>,
    message: Option<u32>,
}

impl Parcel<'_> {
    fn give(&mut self, net: &mut Net, client: &mut Client, all: &mut Messages, qos: u8) {
        let (topic, payload) = (self.topic, self.payload);
        let conn = client.conn.and_then(|id| net.get(id));
        if qos > 0 && client.has_room() {
            let add = || all.add(Message::new(topic, payload));
            let message = *self.message.get_or_insert_with(add);
            client.push(all, message, qos, self.retain);
            conn.into_iter().for_each(|mut conn| client.pump(all, &mut conn));
        } else if let Some(mut conn) = conn.filter(|conn| qos == 0 && conn.queued() < MAX_BACKLOG) {
            let encode = || packets::plain(topic, payload, self.retain);
            conn.send_shared(Rc::clone(self.plain.get_or_insert_with(encode)));
        }
    }
}

/// Says why, and closes.
pub fn refuse<T>(conn: &mut Connection<'_>, code: Code) -> Result<T> {
    send(conn, &Connack::new(false, code).into());
    Err(format!("refused: {code:?}").into())
}
