//! A client that speaks MQTT and shows every packet. It is no load: it leads a conversation, with deadlines, and
//! fails the test where something is wrong. Answers nothing by itself.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
};

use mqtt_proto::{
    Pid, QoS, QosPid, TopicFilter, TopicName,
    v3::{Connack, Connect, ConnectReturnCode, LastWill, Packet, Publish, Subscribe},
};

use super::{DEADLINE, Server};

pub struct Mqtt {
    pub stream: TcpStream,
    input: Vec<u8>,
    /// What has come before something that was waited for.
    aside: VecDeque<Packet>,
}

pub fn pid(number: u16) -> Pid {
    Pid::try_from(number).expect("not 0")
}

pub fn qos(level: u8, number: u16) -> QosPid {
    match level {
        0 => QosPid::Level0,
        1 => QosPid::Level1(pid(number)),
        _ => QosPid::Level2(pid(number)),
    }
}

/// A message; with QoS 1 or 2 it has this packet id.
pub fn publish(topic: &str, payload: &str, level: u8, number: u16) -> Publish {
    let topic = TopicName::try_from(topic).expect("a topic");
    Publish::new(qos(level, number), topic, payload.as_bytes().to_vec().into())
}

pub fn retained(topic: &str, payload: &str, level: u8, number: u16) -> Publish {
    Publish { retain: true, ..publish(topic, payload, level, number) }
}

/// A client with a session of its connection only, which never has to say anything.
pub fn clean(name: &str) -> Connect {
    Connect::new(name.into(), 0)
}

/// One whose session stays when its connection ends.
pub fn lasting(name: &str) -> Connect {
    Connect { clean_session: false, ..clean(name) }
}

pub fn with_will(connect: Connect, topic: &str, payload: &str) -> Connect {
    let topic = TopicName::try_from(topic).expect("a topic");
    let will = LastWill::new(QoS::Level1, topic, payload.as_bytes().to_vec().into());
    Connect { last_will: Some(will), ..connect }
}

impl Mqtt {
    /// Says nothing yet.
    pub fn silent(server: &Server) -> Mqtt {
        let stream = TcpStream::connect(&server.address).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        Mqtt { stream, input: Vec::new(), aside: VecDeque::new() }
    }

    /// Connects, and answers whether there was a session.
    pub fn join(server: &Server, connect: Connect) -> (Mqtt, bool) {
        let mut client = Mqtt::silent(server);
        client.send(connect);
        match client.receive() {
            Packet::Connack(Connack { session_present, code: ConnectReturnCode::Accepted }) => {
                (client, session_present)
            }
            other => panic!("not accepted: {other:?}"),
        }
    }

    pub fn connect(server: &Server, name: &str) -> Mqtt {
        Mqtt::join(server, clean(name)).0
    }

    pub fn send(&mut self, packet: impl Into<Packet>) {
        let bytes = packet.into().encode().expect("a packet");
        self.stream.write_all(bytes.as_ref()).expect("the server takes it");
    }

    /// The next packet; `None` at the end of the connection, however it comes.
    pub fn receive_or_end(&mut self) -> Option<Packet> {
        self.aside.pop_front().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) =
                Packet::decode(&self.input).expect("the server's packets are valid")
            {
                self.input.drain(..packet.encode_len().expect("it has a length"));
                return Some(packet);
            }
            let mut piece = [0; 64 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return None,
                Ok(got) => self.input.extend_from_slice(&piece[..got]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("no packet in time: {e}"),
            }
        }
    }

    pub fn receive(&mut self) -> Packet {
        self.receive_or_end().expect("the connection goes on")
    }

    /// The next packet is this one.
    pub fn expect(&mut self, packet: impl Into<Packet>) {
        assert_eq!(self.receive(), packet.into());
    }

    /// This packet comes, before others or behind them.
    fn wait(&mut self, packet: Packet) {
        let is_here = self.aside.iter().position(|other| *other == packet);
        if is_here.and_then(|at| self.aside.remove(at)).is_some() {
            return;
        }
        loop {
            let next = self.read().expect("the connection goes on");
            if next == packet {
                return;
            }
            self.aside.push_back(next);
        }
    }

    pub fn ask(&mut self, packet: impl Into<Packet>) -> Packet {
        self.send(packet);
        self.receive()
    }

    /// The server has done all that was asked before.
    pub fn ping(&mut self) {
        self.send(Packet::Pingreq);
        self.expect(Packet::Pingresp);
    }

    pub fn subscribe(&mut self, filter: &str, level: u8) {
        let filter = TopicFilter::try_from(filter).expect("a filter");
        let level = QoS::from_u8(level).expect("a level");
        let answer = self.ask(Subscribe::new(pid(1000), vec![(filter, level)]));
        let Packet::Suback(suback) = answer else { panic!("no SUBACK: {answer:?}") };
        assert_eq!(suback.topics, [level.into()]);
    }

    /// The next packet is a message, which it acknowledges up to its end; answers it.
    pub fn take(&mut self) -> Publish {
        let packet = self.receive();
        let Packet::Publish(publish) = packet else { panic!("no message: {packet:?}") };
        match publish.qos_pid {
            QosPid::Level0 => {}
            QosPid::Level1(pid) => self.send(Packet::Puback(pid)),
            QosPid::Level2(pid) => {
                self.send(Packet::Pubrec(pid));
                self.wait(Packet::Pubrel(pid));
                self.send(Packet::Pubcomp(pid));
            }
        }
        publish
    }

    /// The text of the next message.
    pub fn text(&mut self) -> String {
        String::from_utf8(self.take().payload.to_vec()).expect("text")
    }

    /// Publishes up to the last acknowledgement.
    pub fn publish(&mut self, message: Publish) {
        let qos_pid = message.qos_pid;
        self.send(message);
        match qos_pid {
            QosPid::Level0 => {}
            QosPid::Level1(pid) => self.wait(Packet::Puback(pid)),
            QosPid::Level2(pid) => {
                self.wait(Packet::Pubrec(pid));
                self.send(Packet::Pubrel(pid));
                self.wait(Packet::Pubcomp(pid));
            }
        }
    }

    /// The server ends the connection, and says nothing before.
    pub fn is_over(&mut self) {
        assert_eq!(self.receive_or_end(), None);
    }
}
