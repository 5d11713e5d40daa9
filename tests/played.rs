//! The old side of a restart as the test plays it, message by message: what a new program makes of one that
//! closes its link and lives, and of connections that an older program, or none, would write down.

use std::{
    fs::File,
    io::{IoSlice, IoSliceMut, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    process::{ExitStatus, Stdio},
    time::Duration,
};

use crate::common::{Client, DEADLINE, Dir, Server, example, in_session};
use nix::{
    cmsg_space,
    fcntl::{FcntlArg, OFlag, SealFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        memfd::{MFdFlags, memfd_create},
        socket::{
            AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
            recvmsg, sendmsg, socketpair,
        },
    },
    unistd::pipe2,
};

// The kinds and tags of `restart/link/message.rs`, and what is in them.
const HELLO: u16 = 1;
const LISTENERS: u16 = 2;
const OFFERED: u16 = 4;
const READY: u16 = 5;
const FAILED: u16 = 6;
const RELEASED: u16 = 7;
const BATCH: u16 = 9;
const CLAIM: u16 = 16;
const TAKEN: u16 = 17;
const HANDED: u16 = 18;
const TAKEN_OVER: u16 = 19;
const CONNECT: u16 = 25;
const SNAPSHOT: u16 = 60;
const LOADED: u16 = 61;
const CHANGES: u16 = 62;
const COPIED: u16 = 64;
const GENERATION: u16 = 1;
const ENGINE: u16 = 2;
const LAST_SERIAL: u16 = 3;
const NAME: u16 = 4;
const PID: u16 = 5;
const PROBATION: u16 = 7;
const CONNECTIONS: u16 = 12;
const OWN_GENERATION: u16 = 14;

// The tags of `restart/transfer/record.rs`.
const ID: u16 = 1;
const SESSION: u16 = 3;
const OUTPUT: u16 = 6;
const NEW_BUFFER: u16 = 90;
const SHARED: u16 = 91;

/// A tag and a value.
type Field<'a> = (u16, &'a [u8]);

fn message(kind: u16, fields: &[Field]) -> Vec<u8> {
    let mut out = b"hrlm\x01\x00".to_vec();
    out.extend(kind.to_le_bytes());
    out.extend(written(fields));
    out
}

fn written(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, value) in fields {
        out.extend(tag.to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
        out.extend(*value);
    }
    out
}

/// An end of a link.
struct Link(OwnedFd);

impl Link {
    fn say(&self, kind: u16, fields: &[Field], fds: &[&OwnedFd]) {
        let raw: Vec<_> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let bytes = message(kind, fields);
        let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
        let iov = [IoSlice::new(&bytes)];
        sendmsg::<()>(self.0.as_raw_fd(), &iov, control, MsgFlags::MSG_NOSIGNAL, None)
            .expect("the new side takes it");
    }

    /// Waits for a message of this kind; what came with it.
    fn expect(&self, kind: u16) -> Vec<OwnedFd> {
        let mut bytes = vec![0; 4096];
        let mut control = cmsg_space!([i32; 4]);
        await_input(&self.0);
        let mut iov = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(self.0.as_raw_fd(), &mut iov, Some(&mut control), flags)
            .expect("a message");
        let mut fds = Vec::new();
        for message in received.cmsgs().expect("whole") {
            if let ControlMessageOwned::ScmRights(raw) = message {
                // SAFETY: the kernel has just made these for us, and nobody else knows their numbers.
                fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        let length = received.bytes;
        assert!(length >= 8, "the link was closed");
        assert_eq!(u16::from_le_bytes([bytes[6], bytes[7]]), kind);
        fds
    }
}

/// This process, by a descriptor.
fn pidfd() -> OwnedFd {
    // SAFETY: the call takes two integers and makes a new descriptor.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0);
        assert!(fd >= 0);
        OwnedFd::from_raw_fd(fd as i32)
    }
}

/// A new program that takes this test for its old side, up to where it has the state.
struct Played {
    server: Server,
    link: Link,
    /// Whose clients only the new side would serve.
    listener: TcpListener,
    /// What it says when it takes this side for lost, or has committed.
    words: File,
}

impl Played {
    /// Which listens on more than a port, perhaps, and is to serve this long before it commits.
    fn start(probation: Duration, more: &[(&str, OwnedFd)]) -> Played {
        let played = Played::begin(probation, more);
        played.send_snapshot();
        played.say_copied();
        played
    }

    /// Up to where it has asked for the state.
    fn begin(probation: Duration, more: &[(&str, OwnedFd)]) -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let flags = SockFlag::SOCK_CLOEXEC;
        let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags);
        let (ours, theirs) = pair.expect("a link");
        let door = Link(ours);
        // As stdin, and from there to its number, so that nobody else inherits it.
        let mut command = in_session("sh");
        command.args(["-c", "exec \"$@\" 3<&0 </dev/null", "sh"]).arg(example("lab")).args([
            "--listen",
            "127.0.0.1:0",
            "--pid-file",
        ]);
        let dir = Dir::new();
        command.arg(dir.path("pid"));
        for (name, _) in more {
            command.args(["--listen", name]);
        }
        command.env("HEIRLOOM_LINK", "3").stdin(Stdio::from(theirs));
        let mut server = Server::spawn_with_stdin(command, dir);
        server.address = listener.local_addr().expect("bound").to_string();
        let (words, stderr) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let (heard, _) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let (number, pid) = (0u64.to_le_bytes(), u64::from(std::process::id()).to_le_bytes());
        let hello: &[Field] = &[
            (GENERATION, &1u64.to_le_bytes()),
            (ENGINE, &[1]),
            (PROBATION, &(probation.as_micros() as u64).to_le_bytes()),
            (OWN_GENERATION, &number),
            (PID, &pid),
        ];
        door.say(HELLO, hello, &[&stderr, &heard, &pidfd()]);
        let link = Link(door.expect(CONNECT).pop().expect("a link"));
        let socket = listener.try_clone().expect("a descriptor").into();
        link.say(LISTENERS, &[(NAME, b"127.0.0.1:0")], &[&socket]);
        for (name, fd) in more {
            link.say(LISTENERS, &[(NAME, name.as_bytes())], &[fd]);
        }
        link.say(OFFERED, &[], &[]);
        link.expect(CLAIM);
        Played { server, link, listener, words: words.into() }
    }

    /// Nothing, which a service like this one may begin with: a stream that has a head and an end.
    fn send_snapshot(&self) {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut end = [0; 16];
        end[0] = 2;
        let stream = [&b"hrls\x01\x00\x00\x00"[..], &end].concat();
        File::from(writer).write_all(&stream).expect("it fits");
        self.link.say(SNAPSHOT, &[], &[&reader]);
        self.link.expect(LOADED);
    }

    fn say_copied(&self) {
        self.link.say(COPIED, &[(LAST_SERIAL, &0u64.to_le_bytes())], &[]);
    }

    /// Sends connections, the first in slot 0, each with this output.
    fn send(&self, sockets: &[TcpStream], outputs: &[&[Field]]) {
        let mut records = Vec::new();
        for (slot, output) in outputs.iter().enumerate() {
            let id = ((slot as u64 + 1) << 24 | slot as u64).to_le_bytes();
            let session = [1]; // of the lab, in format 1, with nothing to remember
            let fields = [&[(ID, &id[..]), (SESSION, &session[..])][..], output].concat();
            let fields = written(&fields);
            records.extend((fields.len() as u32).to_le_bytes());
            records.extend(fields);
        }
        let mut fds: Vec<OwnedFd> = sockets.iter().map(copy).collect();
        fds.push(sealed(&records));
        let count = (sockets.len() as u64).to_le_bytes();
        self.link.say(BATCH, &[(CONNECTIONS, &count)], &fds.iter().collect::<Vec<_>>());
    }

    /// That was all.
    fn hand_over(&self) {
        self.say_handed();
        self.link.expect(READY);
    }

    fn say_handed(&self) {
        self.link.say(HANDED, &[(LAST_SERIAL, &0u64.to_le_bytes())], &[]);
    }

    /// It serves from here on.
    fn release(&self) {
        self.hand_over();
        self.link.say(RELEASED, &[], &[]);
        self.link.expect(TAKEN_OVER);
    }

    /// It ends by itself, and answers how and why.
    fn end(self) -> (ExitStatus, String) {
        let Played { mut server, link, mut words, .. } = self;
        drop(link);
        let status = server.wait_exit();
        let mut text = String::new();
        words.read_to_string(&mut text).expect("what it said");
        (status, text)
    }
}

/// Waits until the new side has said `text`.
fn hear(words: &mut File, text: &str) {
    let (mut heard, mut chunk) = (String::new(), [0; 4096]);
    while !heard.contains(text) {
        await_input(words);
        let count = words.read(&mut chunk).expect("a pipe");
        assert_ne!(count, 0, "it has ended after {heard:?}");
        heard.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
}

fn await_input(fd: &impl AsFd) {
    let patience = PollTimeout::try_from(DEADLINE).expect("a time");
    let mut ready = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut ready, patience), Ok(1), "nothing comes");
}

fn copy(stream: &TcpStream) -> OwnedFd {
    stream.as_fd().try_clone_to_owned().expect("a descriptor")
}

/// Bytes that nobody can change any more, as a descriptor.
fn sealed(bytes: &[u8]) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create("played", flags).expect("a memfd"));
    file.write_all(bytes).expect("room for it");
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("seals");
    file.into()
}

/// Clients of the old side, and its ends of their connections.
fn clients(played: &Played, count: usize) -> (Vec<Client>, Vec<TcpStream>) {
    let connect = |_| {
        let client = Client::connect(&played.server.address);
        (client, played.listener.accept().expect("a client").0)
    };
    (0..count).map(connect).unzip()
}

/// What belongs to the shared buffer of a number.
fn of_buffer(number: u64, value: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes()[..], value].concat()
}

/// An older version has no memory that it could hand over.
#[test]
fn a_program_whose_old_one_counts_nowhere_says_so() {
    let played = Played::start(LONG, &[]);
    let why = "the numbers of this service begin at zero: the old program has none";
    played.server.wait_line(why);
    played.release(); // and serves
    Client::connect(&played.server.address).who();
}

/// The first one is of a program that knows no shared buffers.
#[test]
fn output_comes_as_it_was_written_down_by_whichever_version() {
    let played = Played::start(LONG, &[]);
    let (mut clients, sockets) = clients(&played, 3);
    let text = "x".repeat(1000) + "\n";
    let new = of_buffer(7, text.as_bytes());
    let (all, rest) = (of_buffer(7, &0u64.to_le_bytes()), of_buffer(7, &600u64.to_le_bytes()));
    let outputs: [&[Field]; 3] = [
        &[(OUTPUT, b"of version 1\n")],
        &[(OUTPUT, b"own\n"), (NEW_BUFFER, &new), (SHARED, &all), (OUTPUT, b"own\n")],
        &[(SHARED, &rest), (SHARED, &all)],
    ];
    played.send(&sockets, &outputs);
    played.link.expect(TAKEN);
    drop(sockets);
    played.release();
    assert_eq!(clients[0].line(), "of version 1");
    assert_eq!(
        [clients[1].line(), clients[1].line(), clients[1].line()],
        ["own", text.trim(), "own"]
    );
    assert_eq!([clients[2].line(), clients[2].line()], [&text[600..1000], text.trim()]);
    assert!(clients.iter_mut().all(|client| client.who().generation == 1));
}

/// Nobody serves what is not whole: the program says why, and ends.
#[test]
fn output_of_a_buffer_that_has_not_come_is_a_reason_to_fail() {
    let far = of_buffer(7, &2000u64.to_le_bytes());
    let (new, all) = (of_buffer(7, &[1; 1000]), of_buffer(8, &0u64.to_le_bytes()));
    let short = of_buffer(7, b"");
    let cases: [(&[Field], &str); 4] = [
        (&[(NEW_BUFFER, &new), (SHARED, &all)], "a shared buffer that has not come"),
        (&[(NEW_BUFFER, &new), (SHARED, &far)], "a part that a shared buffer has not"),
        (&[(NEW_BUFFER, &new), (NEW_BUFFER, &new)], "two shared buffers of one number"),
        (&[(NEW_BUFFER, &new), (SHARED, &short)], "number in a record"),
    ];
    for (output, reason) in cases {
        let mut played = Played::start(LONG, &[]);
        let (_clients, sockets) = clients(&played, 1);
        played.send(&sockets, &[output]);
        played.link.expect(FAILED);
        played.server.wait_line(reason);
        assert!(!played.server.wait_exit().success());
    }
}

/// Whatever an old side leaves out: its state, the end of that, or what it was when changes are all that comes.
#[test]
fn who_was_given_only_a_part_of_the_state_does_not_serve() {
    let cases: [fn(&Played); 5] = [
        |played| played.say_handed(),
        |played| played.say_copied(),
        |played| played.link.say(CHANGES, &[], &[&sealed(b"more")]),
        |played| {
            played.send_snapshot();
            played.say_handed();
        },
        |played| {
            let (_clients, sockets) = clients(played, 1);
            played.send(&sockets, &[&[]]);
        },
    ];
    for give in cases {
        let mut played = Played::begin(LONG, &[]);
        give(&played);
        played.link.expect(FAILED);
        played.server.wait_line("out of turn: there is ");
        assert!(!played.server.wait_exit().success());
    }
}

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(60);

const GIVEN_UP: &str = "it lives and does without this process";

#[test]
fn a_link_that_is_closed_by_a_living_process_is_no_death() {
    for ready in [false, true] {
        let played = Played::start(LONG, &[]);
        let listener = played.listener.try_clone().expect("a descriptor");
        let mut client = TcpStream::connect(&played.server.address).expect("it is queued");
        if ready {
            played.hand_over();
        }
        let (status, words) = played.end();
        assert!(!status.success(), "{status}");
        assert!(words.contains(GIVEN_UP), "ready: {ready}: {words:?}");
        // It is where it was.
        let (mut served, _) = listener.accept().expect("a client");
        served.write_all(b"here").expect("it is there");
        drop(served);
        let mut text = String::new();
        client.read_to_string(&mut text).expect("an answer");
        assert_eq!(text, "here");
    }
}

/// For a second it may be either; its own time in the probation ends within that.
#[test]
fn as_long_as_nobody_knows_a_new_side_does_not_commit() {
    let played = Played::start(Duration::from_millis(900), &[]);
    played.release();
    let (status, words) = played.end();
    assert!(status.success(), "{status}");
    assert!(!words.contains("committed"), "{words:?}");
}

/// The old side serves by then, or nobody is to.
#[test]
fn whoever_is_given_up_in_its_probation_serves_nobody_new() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let played = Played::start(LONG, &[(&format!("unix:{}", path.display()), listener.into())]);
    played.release();
    let mut client = Client::connect(&played.server.address);
    assert_eq!(client.who().generation, 1);
    let listener = played.listener.try_clone().expect("a descriptor");
    let Played { mut server, link, mut words, .. } = played;
    let address = server.address.clone();
    drop(link);
    hear(&mut words, "draining: 1 connections are left");
    let late = TcpStream::connect(address).expect("it is queued");
    let (_served, peer) = listener.accept().expect("a client that nobody else takes");
    assert_eq!(peer, late.local_addr().expect("connected"));
    assert_eq!(client.who().generation, 1, "who has come is served");
    assert!(path.exists(), "the path is the old side's");
    drop(client);
    assert!(server.wait_exit().success());
}
