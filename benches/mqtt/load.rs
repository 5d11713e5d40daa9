//! One publisher and many subscribers, in one thread: every message has a known length, so nothing is parsed but
//! packet ids. Blocking, and never more under way than the sockets' buffers hold.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use mqtt_proto::{
    Pid, QoS, QosPid, TopicFilter, TopicName,
    v3::{Connect, Packet, Publish, Subscribe},
};

use crate::common::process::Running;

const TOPIC: &str = "house/kitchen/temperature";

/// A reading of a sensor, with its unit and time.
const PAYLOAD: [u8; 64] = [b'x'; 64];

/// What is measured.
#[derive(Clone, Copy)]
pub struct Work {
    pub level: u8,
    pub subscribers: usize,
    /// Messages that the publisher sends before it waits for all to have come.
    pub depth: usize,
}

/// Clients that are connected and subscribed.
pub struct Load {
    work: Work,
    publisher: TcpStream,
    subscribers: Vec<TcpStream>,
    burst: Vec<u8>,
    /// Room for what one subscriber gets of a burst.
    buffer: Vec<u8>,
    /// Of one message, with its header.
    length: usize,
}

fn bytes(packet: impl Into<Packet>) -> io::Result<Vec<u8>> {
    Ok(packet.into().encode().map_err(io::Error::other)?.as_ref().to_vec())
}

fn pid(number: usize) -> Pid {
    Pid::try_from(number as u16).expect("not 0")
}

fn message(level: u8, number: usize) -> io::Result<Vec<u8>> {
    let qos_pid = if level == 0 { QosPid::Level0 } else { QosPid::Level1(pid(number)) };
    let topic = TopicName::try_from(TOPIC).map_err(io::Error::other)?;
    bytes(Publish::new(qos_pid, topic, PAYLOAD.to_vec().into()))
}

/// Sends a packet and takes its answer, which has so many bytes.
fn ask(stream: &mut TcpStream, packet: &[u8], answer: usize) -> io::Result<()> {
    stream.write_all(packet)?;
    stream.read_exact(&mut vec![0; answer])
}

fn connect(server: &Running, name: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(&server.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    ask(&mut stream, &bytes(Connect::new(name.into(), 0))?, 4)?;
    Ok(stream)
}

impl Load {
    pub fn start(server: &Running, work: Work) -> io::Result<Load> {
        let publisher = connect(server, "publisher")?;
        let qos = QoS::from_u8(work.level).map_err(io::Error::other)?;
        let filter = TopicFilter::try_from(TOPIC).map_err(io::Error::other)?;
        let subscribe = bytes(Subscribe::new(pid(1), vec![(filter, qos)]))?;
        let subscribers = (0..work.subscribers).map(|number| {
            let mut stream = connect(server, &format!("subscriber-{number}"))?;
            ask(&mut stream, &subscribe, 5)?;
            Ok(stream)
        });
        let subscribers = subscribers.collect::<io::Result<_>>()?;
        let burst = (1..=work.depth).map(|number| message(work.level, number));
        let burst = burst.collect::<io::Result<Vec<_>>>()?.concat();
        let length = burst.len() / work.depth;
        let buffer = vec![0; burst.len()];
        Ok(Load { work, publisher, subscribers, burst, buffer, length })
    }

    /// A burst, up to the last acknowledgement of the last subscriber.
    fn burst(&mut self) -> io::Result<()> {
        self.publisher.write_all(&self.burst)?;
        let id_at = self.length - PAYLOAD.len() - 2;
        for subscriber in &mut self.subscribers {
            subscriber.read_exact(&mut self.buffer)?;
            if self.work.level > 0 {
                let ids = self.buffer.chunks(self.length).map(|packet| &packet[id_at..id_at + 2]);
                let acks: Vec<u8> = ids.flat_map(|id| [0x40, 2, id[0], id[1]]).collect();
                subscriber.write_all(&acks)?;
            }
        }
        if self.work.level > 0 {
            self.publisher.read_exact(&mut self.buffer[..4 * self.work.depth])?;
        }
        Ok(())
    }

    /// What one message takes of the server's core, in all that is done for it.
    pub fn measure(&mut self, server: &Running, time: Duration) -> io::Result<Duration> {
        let (before, begun, mut bursts) = (server.cpu_time(), Instant::now(), 0);
        while begun.elapsed() < time {
            self.burst()?;
            bursts += 1;
        }
        Ok((server.cpu_time() - before) / (bursts * self.work.depth as u32))
    }
}
