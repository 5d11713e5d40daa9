//! Who drops a transaction rolls it back, in whichever process that is.

use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::{
    Lesson, Result, Verdict, process,
    services::Service,
    table,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "rolled-back",
    title: "a commit answers Ok, and its rows are gone",
    teach,
    places: &[
        ("src/system/per_process.rs", "drop", "another process's value is forgotten, not dropped"),
        (
            "src/service/mod.rs",
            "before_fork",
            "a service with a transaction under way refuses the fork",
        ),
    ],
};

const ORDERS: u64 = 5;

fn teach() -> Result<Verdict> {
    say(
        "A transaction that is dropped without a word is rolled back: that is what destructors are for. \
         After a fork there are two values for one transaction, with one connection.",
    );
    wrong(
        "A server forks in the middle of a transaction. The new process has no use for it and drops \
         it. The old process puts in its order, and commits.",
    );
    let lost = lost(true)?;
    say(format!(
        "Every commit answers Ok, and {lost} of {ORDERS} orders are gone: the new process said ROLLBACK \
         by the connection of both, and a COMMIT without a transaction is no error to PostgreSQL."
    ));
    right("The new process runs no destructor of what it has inherited: it forgets it.");
    let lost_right = self::lost(false)?;
    say(format!(
        "{lost_right} of {ORDERS} orders are gone. `PerProcess` forgets by itself; a transaction that is \
         kept over several turns is best a reason for `before_fork` to refuse."
    ));
    Ok(Verdict {
        wrong: format!("lost {lost} of {ORDERS} orders that were committed"),
        right: format!("lost {lost_right} of {ORDERS}"),
        as_taught: lost == ORDERS && lost_right == 0,
    })
}

/// How many orders, committed with Ok, are not there?
fn lost(child_drops: bool) -> Result<u64> {
    let service = table::start()?;
    for _ in 0..ORDERS {
        let mut client = connect(&service)?;
        let mut transaction = Some(client.transaction()?);
        if let Some(transaction) = &mut transaction {
            transaction.batch_execute("INSERT INTO orders VALUES ('tea')")?;
        }
        let mut child = process::fork(|| {
            match child_drops {
                true => drop(transaction.take()),
                false => std::mem::forget(transaction.take()),
            }
            0
        })?;
        child.wait()?;
        if let Some(transaction) = transaction {
            transaction.commit()?;
        }
    }
    Ok(ORDERS - orders(&service)?)
}

fn connect(service: &Service) -> Result<Client> {
    let mut config = Config::new();
    config.hostaddr([127, 0, 0, 1].into()).port(service.port).user("shop");
    Ok(config.connect(NoTls)?)
}

fn orders(service: &Service) -> Result<u64> {
    let answer = connect(service)?.simple_query("SELECT FROM orders")?;
    let rows = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    Ok(rows.ok_or("no answer")?)
}
