//! A name server of the test's own, which answers as it is told: by UDP and TCP, at the same port.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use hickory_proto::{
    op::{Message, MessageType, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{CNAME, SOA},
    },
};

use super::{DEADLINE, wait_for};

/// What it says to a question.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These addresses, for so many seconds.
    Has(Vec<IpAddr>, u32),
    /// Another name, and what that has.
    Alias(String, Vec<IpAddr>),
    /// The name does not exist, which is certain for so many seconds.
    NoSuchName(u32),
    /// It has no such address.
    NoAddress,
    Code(ResponseCode),
    /// Nothing.
    Silence,
    /// Nothing to the first so many questions.
    Lost(usize, Box<Reply>),
    /// That there is more by TCP, where this is answered.
    Truncated(Box<Reply>),
    /// A number of answers to other questions and from elsewhere first, all of which lead here.
    Spoofed(IpAddr, Box<Reply>),
}

type Key = (String, RecordType);

#[derive(Default)]
struct Shared {
    replies: Mutex<BTreeMap<Key, Reply>>,
    asked: Mutex<BTreeMap<Key, usize>>,
    by_tcp: Mutex<usize>,
    /// While it holds back, answers wait here, with whom they are for.
    held: Mutex<Option<Vec<(Message, SocketAddr)>>>,
    done: AtomicBool,
}

/// It answers until it is dropped. A name that it was not told of does not exist.
pub struct Dns {
    pub address: SocketAddr,
    udp: UdpSocket,
    shared: Arc<Shared>,
    threads: Vec<thread::JoinHandle<()>>,
}

const A: RecordType = RecordType::A;
const AAAA: RecordType = RecordType::AAAA;

impl Dns {
    pub fn start() -> Dns {
        // The port that is free for one may not be free for the other.
        let (udp, tcp) = (0..100)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
                let tcp = TcpListener::bind(udp.local_addr().expect("its number")).ok()?;
                Some((udp, tcp))
            })
            .expect("a port for both");
        let address = udp.local_addr().expect("its number");
        let shared = Arc::<Shared>::default();
        let (for_udp, for_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let socket = udp.try_clone().expect("a second handle");
        let threads = vec![
            thread::spawn(move || answer_datagrams(&socket, &for_udp)),
            thread::spawn(move || answer_connections(&tcp, &for_tcp)),
        ];
        Dns { address, udp, shared, threads }
    }

    fn set(&self, name: &str, kind: RecordType, reply: Reply) {
        self.shared.replies.lock().unwrap().insert((name.to_owned(), kind), reply);
    }

    /// The name, with a dot at its end, has these addresses of either kind, and no others.
    pub fn has(&self, name: &str, addresses: &[&str], ttl: u32) {
        let all = addresses.iter().map(|text| text.parse::<IpAddr>().expect("an address"));
        let (v4, v6): (Vec<_>, Vec<_>) = all.partition(IpAddr::is_ipv4);
        for (kind, addresses) in [(A, v4), (AAAA, v6)] {
            let none = addresses.is_empty();
            self.set(name, kind, if none { Reply::NoAddress } else { Reply::Has(addresses, ttl) });
        }
    }

    /// Says this of both kinds.
    pub fn says(&self, name: &str, reply: Reply) {
        self.set(name, A, reply.clone());
        self.set(name, AAAA, reply);
    }

    pub fn says_of(&self, name: &str, is_v4: bool, reply: Reply) {
        self.set(name, if is_v4 { A } else { AAAA }, reply);
    }

    /// How often it was asked for the IPv4 addresses of a name.
    pub fn asked(&self, name: &str) -> usize {
        *self.shared.asked.lock().unwrap().get(&(name.to_owned(), A)).unwrap_or(&0)
    }

    pub fn wait_asked(&self, name: &str, times: usize) {
        wait_for("the name server to be asked", || self.asked(name) >= times);
    }

    pub fn asked_by_tcp(&self) -> usize {
        *self.shared.by_tcp.lock().unwrap()
    }

    /// From now on it answers nobody.
    pub fn hold(&self) {
        self.shared.held.lock().unwrap().get_or_insert_default();
    }

    /// Answers all who wait, and others again at once.
    pub fn release(&self) {
        for (message, to) in self.shared.held.lock().unwrap().take().unwrap_or_default() {
            let _ = self.udp.send_to(&message.to_vec().expect("it fits"), to);
        }
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Relaxed);
        let _ = self.udp.send_to(&[], self.address); // wakes one
        drop(std::net::TcpStream::connect(self.address)); // and the other
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    /// The question, and what is to be said to it.
    fn take(&self, bytes: &[u8]) -> Option<(Message, Reply)> {
        let message = Message::from_vec(bytes).ok()?;
        let query = message.queries.first()?;
        let key = (query.name.to_lowercase().to_ascii(), query.query_type);
        let mut asked = self.asked.lock().unwrap();
        let count = asked.entry(key.clone()).or_insert(0);
        *count += 1;
        let reply = self.replies.lock().unwrap().get(&key).cloned();
        let reply = match reply.unwrap_or(Reply::NoSuchName(0)) {
            Reply::Lost(first, _) if *count <= first => Reply::Silence,
            Reply::Lost(_, reply) => *reply,
            reply => reply,
        };
        Some((message, reply))
    }
}

fn answer_datagrams(socket: &UdpSocket, shared: &Shared) {
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut buffer = [0; 4096];
    while let Ok((count, from)) = socket.recv_from(&mut buffer) {
        if shared.done.load(Ordering::Relaxed) {
            return;
        }
        let Some((question, reply)) = shared.take(&buffer[..count]) else { continue };
        let reply = match reply {
            Reply::Spoofed(to, reply) => {
                for message in spoofed(&question, to) {
                    let _ = socket.send_to(&message.to_vec().expect("it fits"), from);
                }
                let _ = socket.send_to(b"nonsense", from);
                // With the right number, from the wrong place.
                let forged = answer(&question, &Reply::Has(vec![to], 60)).expect("an answer");
                let _ = stranger.send_to(&forged.to_vec().expect("it fits"), from);
                *reply
            }
            reply => reply,
        };
        let Some(message) = answer(&question, &reply) else { continue };
        match shared.held.lock().unwrap().as_mut() {
            Some(held) => held.push((message, from)),
            None => drop(socket.send_to(&message.to_vec().expect("it fits"), from)),
        }
    }
}

fn answer_connections(listener: &TcpListener, shared: &Shared) {
    for stream in listener.incoming() {
        if shared.done.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut stream) = stream else { continue };
        stream.set_read_timeout(Some(DEADLINE.min(Duration::from_secs(10)))).expect("a timeout");
        let mut length = [0; 2];
        let mut read = || {
            stream.read_exact(&mut length)?;
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).map(|()| bytes)
        };
        let Ok(bytes) = read() else { continue };
        *shared.by_tcp.lock().unwrap() += 1;
        let Some((question, Reply::Truncated(reply))) = shared.take(&bytes) else { continue };
        let Some(message) = answer(&question, &reply) else { continue };
        let bytes = message.to_vec().expect("it fits");
        // In two pieces, as a slow network would bring it.
        let _ = stream.write_all(&(bytes.len() as u16).to_be_bytes());
        let _ = stream.write_all(&bytes);
    }
}

/// Answers to other questions than this one, and to none.
fn spoofed(question: &Message, to: IpAddr) -> Vec<Message> {
    let right = answer(question, &Reply::Has(vec![to], 60)).expect("an answer");
    let mut numbered = right.clone();
    numbered.metadata.id ^= 1;
    let mut asked = right.clone();
    asked.queries[0].name = Name::from_ascii("other.example.").expect("a name");
    let mut query = right.clone();
    query.metadata.message_type = MessageType::Query;
    let mut empty = right;
    empty.queries.clear();
    vec![numbered, asked, query, empty]
}

/// What is said to a question, if anything.
fn answer(question: &Message, reply: &Reply) -> Option<Message> {
    let mut message = question.clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.recursion_available = true;
    let asked = message.queries[0].clone();
    match reply {
        Reply::Has(addresses, ttl) => {
            for &address in addresses {
                message.add_answer(record(&asked.name, *ttl, address));
            }
        }
        Reply::Alias(target, addresses) => {
            let target = Name::from_ascii(target).expect("a name");
            let alias = RData::CNAME(CNAME(target.clone()));
            message.add_answer(Record::from_rdata(asked.name, 60, alias));
            for &address in addresses.iter().filter(|it| it.is_ipv4() == (asked.query_type == A)) {
                message.add_answer(record(&target, 60, address));
            }
        }
        Reply::NoSuchName(ttl) => {
            message.metadata.response_code = ResponseCode::NXDomain;
            let name = |text| Name::from_ascii(text).expect("a name");
            let soa = SOA::new(name("ns.example."), name("who.example."), 1, 2, 3, 4, *ttl);
            let soa = Record::from_rdata(name("example."), *ttl, RData::SOA(soa));
            if *ttl > 0 {
                message.add_authority(soa);
            }
        }
        Reply::NoAddress => {}
        Reply::Code(code) => message.metadata.response_code = *code,
        Reply::Truncated(_) => message.metadata.truncation = true,
        Reply::Silence | Reply::Lost(..) | Reply::Spoofed(..) => return None,
    }
    Some(message)
}

fn record(name: &Name, ttl: u32, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    };
    Record::from_rdata(name.clone(), ttl, data)
}
