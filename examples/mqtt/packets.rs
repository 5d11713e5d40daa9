//! Packets of MQTT 3.1.1 (<https://docs.oasis-open.org/mqtt/mqtt/v3.1.1/>), from bytes and to bytes. Pure.
//!
//! The crate `mqtt-proto` takes them apart: no input makes it panic (`packets_tests.rs` tries), while `mqttrs` reads
//! behind the end of a packet that is cut short. It gets whole packets only, so what it allocates is bounded.

use std::rc::Rc;

use heirloom::{carried, codec, codec::Prefix};
use mqtt_proto::v3::{Connect, Header, Packet, Publish};
use mqtt_proto::{Error, Pid, PollHeader, Protocol, QoS, QosPid};
use serde::{Deserialize, Serialize};

pub const MAX_PACKET: usize = 256 * 1024; // in bytes, with its header
const MAX_LEVELS: usize = 201; // of a topic, as mosquitto has it: each is a step of a recursion

/// The first packet of `input` and its length, if all of it is there. What only servers say is an error.
pub fn next(input: &[u8]) -> Result<Option<(Packet, usize)>, Error> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let (mut header, mut at) = (Header::new_with(first, 0, 0)?, 0);
    let framed = codec::length(rest, Prefix::Varint, MAX_PACKET - 5);
    let framed = framed.map_err(|_| Error::InvalidRemainingLength)?;
    let Some((body, taken)) = framed else { return Ok(None) };
    header.remaining_len = body.len() as u32;
    let packet = match header.build_empty_packet() {
        Some(packet) => packet,
        None => header.decode_buffer(body, &mut at)?,
    };
    match packet {
        Packet::Connect(Connect { protocol: older @ Protocol::V310, .. }) => {
            Err(Error::UnexpectedProtocol(older))
        }
        packet if at == body.len() && is_acceptable(&packet, body) => Ok(Some((packet, 1 + taken))),
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
    matches!(error, Error::UnexpectedProtocol(_))
        || matches!(error, Error::InvalidProtocol(name, _) if ["MQTT", "MQIsdp"].contains(&&**name))
}

/// Whether a name or a filter is there at all and has few enough levels.
pub fn is_topic(name: &str) -> bool {
    !name.is_empty() && name.bytes().filter(|&byte| byte == b'/').count() < MAX_LEVELS
}

/// The crate would write a failure as 3, where the standard has 0x80.
pub fn suback(pid: Pid, codes: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90];
    Prefix::Varint.put(2 + codes.len(), &mut packet);
    packet.extend(pid.value().to_be_bytes());
    packet.extend(codes);
    packet
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

    pub fn of(publish: &Publish) -> Message {
        let (topic, qos) = (&publish.topic_name, publish.qos_pid.qos());
        Message::new(topic, &publish.payload, qos, publish.retain)
    }

    /// Its packet up to the payload, so that this need not be copied for each who gets it.
    pub fn head(&self, dup: bool, pid: u16) -> Vec<u8> {
        let mut head = vec![0x30 | u8::from(dup) << 3 | self.qos << 1 | u8::from(self.retain)];
        let pid = (self.qos > 0).then_some(pid.to_be_bytes()).into_iter().flatten();
        let length = 2 + self.topic.len() + pid.clone().count() + self.payload.len();
        Prefix::Varint.put(length, &mut head);
        Prefix::U16.put(self.topic.len(), &mut head);
        head.extend(self.topic.as_bytes());
        head.extend(pid);
        head
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;
