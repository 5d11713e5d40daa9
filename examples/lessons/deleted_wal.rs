//! SQLite's locks belong to one process, and its log to whoever holds one.

use std::{
    env, fs,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    process as this,
};

use rusqlite::Connection;

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "deleted-wal",
    title: "SQLite says Ok to every commit, and none is there",
    teach,
    places: &[
        ("src/turn/restart/hooks.rs", "before_fork", "the service closes what may not be shared"),
        (
            "src/system/look.rs",
            "look_at_descriptors",
            "and what it has forgotten is named before the fork",
        ),
    ],
};

const ROWS: u32 = 10;

fn teach() -> Result<Verdict> {
    say(
        "SQLite keeps new rows in a `-wal` file beside the database. The last connection that is closed \
         moves them into the database, and deletes that file. That it is the last one it learns from \
         locks by fcntl(2), and those are not inherited: a forked child has the connection without them.",
    );
    wrong(format!(
        "A server forks with its database open. The old process closes it and ends, and the new one \
         commits {ROWS} rows by the connection that it has inherited. Then it is killed."
    ));
    let (said, lost) = lost(false)?;
    say(format!(
        "{said} of {ROWS} commits answer Ok, and {lost} rows are gone: they are in a file that the old \
         process has deleted, since nobody else had a lock."
    ));
    right(
        "The server closes the database before it forks, and each process opens it for itself. The new one is killed as before.",
    );
    let (said_right, lost_right) = self::lost(true)?;
    say(format!("{said_right} of {ROWS} commits answer Ok, and {lost_right} rows are gone."));
    Ok(Verdict {
        wrong: format!("lost {lost} of {ROWS} rows that were committed"),
        right: format!("lost {lost_right} of {ROWS}"),
        as_taught: (said, lost, said_right, lost_right) == (ROWS, ROWS, ROWS, 0),
    })
}

/// How many commits of the new process answer Ok, and how many rows are not there afterwards?
fn lost(close_first: bool) -> Result<(u32, u32)> {
    let folder = Folder(env::temp_dir().join(format!("deleted-wal.{}.{close_first}", this::id())));
    fs::create_dir_all(&folder.0)?;
    let path = folder.0.join("shop.db");
    let opened = open(&path)?;
    let mut database = (!close_first).then_some(opened); // or it is closed here
    let (old_has_closed, tell) = io::pipe()?;
    let mut child = process::fork(|| {
        process::wait_for(&old_has_closed);
        let Some(database) = database.take().or_else(|| open(&path).ok()) else { return 0 };
        let insert = |n| database.execute("INSERT INTO orders VALUES (?1)", [n]);
        let said = (0..ROWS).filter(|&n| insert(n).is_ok()).count() as u8;
        mem::forget(database); // it is killed: a close in peace would still save what is in its file
        said
    })?;
    drop(database);
    (&tell).write_all(b".")?;
    let said = u32::from(child.wait()?);
    let rows: u32 = open(&path)?.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))?;
    Ok((said, said - rows))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.execute("CREATE TABLE IF NOT EXISTS orders (number INTEGER)", [])?;
    Ok(database)
}

/// Removed with what is in it.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
