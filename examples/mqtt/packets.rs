//! Packets of MQTT 3.1.1 (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/>), from bytes and to bytes. Pure.
//!
//! The crate `mqtt-proto` takes them apart: no input makes it panic (`packets_tests.rs` tries), while `mqttrs` reads
//! behind the end of a packet that is cut short. It gets whole packets only, so what it allocates is bounded.

use std::rc::Rc;

use heirloom::carried;
use mqtt_proto::{
    Error, Pid, PollHeader, Protocol, QoS, QosPid,
    v3::{Connect, Header, Packet, Suback},
};
use serde::{Deserialize, Serialize};

/// Of one packet, in bytes, with its header.
pub const MAX_PACKET: usize = 256 * 1024;

/// Levels of a topic, as mosquitto has it: each is a step of a recursion.
const MAX_LEVELS: usize = 201;

/// The first packet of `input` and its length, if all of it is there. What only servers say is an error.
pub fn next(input: &[u8]) -> Result<Option<(Packet, usize)>, Error> {
    let header = match Header::decode(input) {
        Err(why) if why.is_eof() => return Ok(None),
        header => header?,
    };
    // A length goes on with each byte that has its highest bit set.
    let mut at = 2 + input[1..].iter().take_while(|&&byte| byte >= 0x80).count();
    let (body, end) = (at, at + header.remaining_len as usize);
    if end > MAX_PACKET {
        return Err(Error::InvalidRemainingLength);
    }
    let Some(frame) = input.get(..end) else { return Ok(None) };
    let packet = match header.build_empty_packet() {
        Some(packet) => packet,
        None => header.decode_buffer(frame, &mut at)?,
    };
    match packet {
        Packet::Connect(Connect { protocol: older @ Protocol::V310, .. }) => {
            Err(Error::UnexpectedProtocol(older))
        }
        packet if at == end && is_acceptable(&packet, &frame[body..]) => Ok(Some((packet, end))),
        _ => Err(Error::InvalidHeader),
    }
}

/// Refuses what the crate lets pass: see [MQTT-3.3.1-2], [MQTT-1.5.3-2] and [MQTT-3.1.2-22].
fn is_acceptable(packet: &Packet, body: &[u8]) -> bool {
    match packet {
        Packet::Publish(publish) => {
            is_topic(&publish.topic_name) && !(publish.dup && publish.qos_pid == QosPid::Level0)
        }
        Packet::Connect(Connect { client_id, username, password, last_will, .. }) => {
            // One that would be written otherwise has flags without their fields.
            packet.encode().is_ok_and(|again| again.as_ref().ends_with(body))
                && !username.iter().chain([client_id]).any(|text| text.contains('\0'))
                && (password.is_none() || username.is_some())
                && last_will.as_ref().is_none_or(|will| is_topic(&will.topic_name))
        }
        Packet::Connack(_) | Packet::Suback(_) | Packet::Unsuback(_) | Packet::Pingresp => false,
        _ => true,
    }
}

/// One that has an answer of its own.
pub fn is_other_version(error: &Error) -> bool {
    match error {
        Error::InvalidProtocol(name, _) => matches!(&**name, "MQTT" | "MQIsdp"),
        error => matches!(error, Error::UnexpectedProtocol(_)),
    }
}

/// Whether a name or a filter is there at all and has few enough levels.
pub fn is_topic(name: &str) -> bool {
    !name.is_empty() && name.bytes().filter(|&byte| byte == b'/').count() < MAX_LEVELS
}

/// The crate would write a failure as 3, where the standard has 0x80.
pub fn suback(pid: Pid, codes: &[u8]) -> Vec<u8> {
    let packet = Packet::from(Suback::new(pid, vec![QoS::Level0.into(); codes.len()]));
    let mut bytes = packet.encode().expect("shorter than its SUBSCRIBE").as_ref().to_vec();
    let at = bytes.len() - codes.len();
    bytes[at..].copy_from_slice(codes);
    bytes
}

/// A message; many may wait for it, and all have the same topic and payload, also in the next program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Message {
    #[serde(with = "carried::shared")]
    pub topic: Rc<str>,
    #[serde(with = "carried::shared")]
    pub payload: Rc<[u8]>,
    pub qos: u8,
    pub retain: bool,
}

impl Message {
    pub fn new(topic: &str, payload: &[u8], qos: QoS, retain: bool) -> Message {
        Message { topic: topic.into(), payload: payload.into(), qos: qos as u8, retain }
    }

    /// Its packet up to the payload, so that this need not be copied for each who gets it.
    pub fn head(&self, dup: bool, pid: u16) -> Vec<u8> {
        let pid = (self.qos > 0).then_some(pid.to_be_bytes());
        let mut length = 2 + self.topic.len() + pid.map_or(0, |pid| pid.len()) + self.payload.len();
        let mut head = vec![0x30 | u8::from(dup) << 3 | self.qos << 1 | u8::from(self.retain)];
        while length >= 0x80 {
            head.push(length as u8 | 0x80);
            length >>= 7;
        }
        head.push(length as u8);
        head.extend((self.topic.len() as u16).to_be_bytes());
        head.extend(self.topic.as_bytes());
        head.extend(pid.into_iter().flatten());
        head
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;
