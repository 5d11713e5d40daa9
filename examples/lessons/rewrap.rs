//! mio's values remember the Poll that they were registered with, and a fork copies their memory.

use mio::{Interest, Poll, Token, net::TcpStream};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
    wire,
};

pub const LESSON: Lesson = Lesson {
    name: "rewrap",
    title: "a child's Poll refuses its parent's sockets, while you debug",
    teach,
    places: &[
        ("src/net/stream/socket.rs", "rewrap", "builds a stream anew around its number"),
        ("src/net/listen/listener.rs", "rewrap", "and a listener"),
        (
            "src/net/reactor/handover.rs",
            "keep",
            "does so with every connection that a forked child keeps",
        ),
    ],
};

const STREAMS: u64 = 5;

fn teach() -> Result<Verdict> {
    say("A child that goes on with connections needs an epoll set of its own for them. To catch \
         mistakes, debug builds of mio note in each socket which Poll it is registered with. A forked \
         child inherits the note, and to mio its new Poll is a second one.");
    wrong("A child registers the mio streams that it has inherited with its new Poll.");
    let refused = refused_when(|stream| stream)?;
    // What a program can know about mio's checks: its own were compiled in the same way.
    let checked = cfg!(debug_assertions);
    say(format!(
        "{refused} of {STREAMS} are refused (\"already registered with a `Registry`\"). {}",
        match checked {
            true => "A release build would have said nothing: this breaks on your desk only.",
            false =>
                "This is a release build, which does not look: a debug build refuses them all.",
        }
    ));
    right(
        "The child takes the descriptor out of each stream and builds the stream anew around it.",
    );
    let refused_right = refused_when(|stream| TcpStream::from_std(stream.into()))?;
    say(format!("{refused_right} of {STREAMS} are refused."));
    Ok(Verdict {
        wrong: format!("was refused {refused} of {STREAMS} streams"),
        right: format!("{refused_right} of {STREAMS}"),
        as_taught: refused == if checked { STREAMS } else { 0 } && refused_right == 0,
    })
}

/// How many streams, registered by the parent, are refused by the Poll of its child?
fn refused_when(carry: impl Fn(TcpStream) -> TcpStream) -> Result<u64> {
    let (_clients, served) = wire::pairs(STREAMS as usize)?;
    let poll = Poll::new()?;
    let mut streams = Vec::new();
    for stream in served {
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(0), Interest::READABLE)?;
        streams.push(stream);
    }
    process::ask(|| {
        let Ok(own) = Poll::new() else { return STREAMS };
        let mut streams: Vec<_> = streams.into_iter().map(carry).collect();
        let register = |stream| own.registry().register(stream, Token(0), Interest::READABLE);
        streams.iter_mut().filter_map(|stream| register(stream).err()).count() as u64
    })
}
