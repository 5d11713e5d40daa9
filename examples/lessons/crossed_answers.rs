//! Who shares a connection shares its answers: each reads what comes next, whoever has asked.

use std::io::{self, Write};

use heirloom::PerProcess;
use redis::Connection;

use crate::{
    Lesson, Result, Verdict, process, services,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "crossed-answers",
    title: "one process gets the answers that another has asked for",
    teach,
    places: &[
        (
            "src/system/per_process.rs",
            "get",
            "in another process the value is forgotten, and made anew",
        ),
        ("src/system/noted.rs", "leave", "what it had open is closed without a word on the wire"),
    ],
};

const ROUNDS: usize = 10;

fn teach() -> Result<Verdict> {
    say(
        "A client of Redis writes a question and takes the next answer for its own: answers have no \
         number. A forked child has the same connection, and takes the next one as well.",
    );
    wrong(
        "The old process has asked for the basket of ann, and before it reads, the new one asks for that \
         of bob by the connection that it has inherited.",
    );
    let crossed = count(false)?;
    say(format!(
        "In {crossed} of {ROUNDS} cases bob gets what ann has in her basket, and no error."
    ));
    right(
        "The client is in a `PerProcess`: the new process forgets it, and connects when it first asks.",
    );
    let crossed_right = count(true)?;
    say(format!("In {crossed_right} of {ROUNDS} cases."));
    Ok(Verdict {
        wrong: format!("answered {crossed} of {ROUNDS} with what was for another"),
        right: format!("{crossed_right} of {ROUNDS}"),
        as_taught: crossed == ROUNDS && crossed_right == 0,
    })
}

/// How many times does the child get what its parent has asked for?
fn count(each_its_own: bool) -> Result<usize> {
    let service = services::redis()?;
    let client = redis::Client::open(format!("redis://127.0.0.1:{}", service.port))?;
    let rounds = (0..ROUNDS).map(|_| match each_its_own {
        true => is_crossed(&mut PerProcess::new(|| client.get_connection()), PerProcess::get),
        false => is_crossed(&mut client.get_connection()?, |own| Ok(own)),
    });
    Ok(rounds.collect::<Result<Vec<_>>>()?.into_iter().filter(|&crossed| crossed).count())
}

/// Both ask by what `of` makes of what they hold, the parent first. Does the child read the parent's answer?
fn is_crossed<T>(
    held: &mut T,
    of: fn(&mut T) -> redis::RedisResult<&mut Connection>,
) -> Result<bool> {
    of(held)?; // it has been in use before the fork
    let (parent_has_asked, tell) = io::pipe()?;
    let mut child = process::fork(|| {
        process::wait_for(&parent_has_asked);
        let answer = of(held).and_then(|it| redis::cmd("GET").arg("bob").query::<String>(it));
        match answer.as_deref() {
            Ok("what bob has") => 0,
            Ok("what ann has") => 1,
            _ => 2,
        }
    })?;
    of(held)?.send_packed_command(&redis::cmd("GET").arg("ann").get_packed_command())?;
    (&tell).write_all(b".")?;
    match child.wait()? {
        answer @ 0..=1 => Ok(answer == 1),
        other => Err(format!("the child has left with {other}").into()),
    }
}
