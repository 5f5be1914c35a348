//! The prompt of a node that is a process of its own.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use cachesync::{CacheStats, Coherence};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    node::{Found, Node, Source, Work},
    table::User,
};

/// How long a commit waits to tell that the broker has the evictions; they go out in any case.
const CONFIRM: Duration = Duration::from_secs(2);

const HELP: &str = "\
get ID         find a user, through the cache
set ID NAME    write a user
delete ID      delete a user
begin          begin a transaction; what follows happens inside it
commit         commit it: the evictions go out
rollback       roll it back: nothing is evicted
stats          what this node has counted, and how it gets on with the others
help           this
quit           end this node";

/// Answers the lines of the standard input until it ends, or `quit`, or Ctrl-C; then ends the node.
pub async fn run(node: &Node) -> Result<()> {
    let prompt = if io::stdin().is_terminal() { format!("{}> ", node.name()) } else { String::new() };
    let mut session = Session { node, work: None };
    let mut lines = lines();
    loop {
        print(&prompt)?;
        let line = tokio::select! {
            line = lines.recv() => line,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else { break };
        match session.answer(&line).await {
            Ok(Some(answer)) if answer.is_empty() => {}
            Ok(Some(answer)) => print(&format!("{answer}\n"))?,
            Ok(None) => break,
            Err(error) => print(&format!("error: {error:#}\n"))?,
        }
    }
    if let Some(work) = session.work {
        print(&format!("rolled back {}\n", changes(&work)))?;
    }
    node.shutdown().await
}

fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("the output cannot be written")
}

/// The lines of the standard input, read on a thread of its own: a read cannot be cancelled.
fn lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

#[derive(Debug, PartialEq, Eq)]
enum Command {
    Nothing,
    Get(u64),
    Set(User),
    Delete(u64),
    Begin,
    Commit,
    Rollback,
    Stats,
    Help,
    Quit,
}

impl FromStr for Command {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Self> {
        let (word, rest) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let rest = rest.trim();
        let id =
            |text: &str| text.parse().map_err(|_| anyhow!("`{text}` is not an id; write a number, as in `{word} 1`"));
        let command = match word {
            "" => Self::Nothing,
            "get" => return Ok(Self::Get(id(rest)?)),
            "delete" => return Ok(Self::Delete(id(rest)?)),
            "set" => {
                let (id_text, name) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let id = id(id_text)?;
                let name = name.trim().to_owned();
                if name.is_empty() {
                    bail!("a name is missing; write it behind the id, as in `set {id} Ada`");
                }
                return Ok(Self::Set(User { id, name }));
            }
            "begin" => Self::Begin,
            "commit" => Self::Commit,
            "rollback" => Self::Rollback,
            "stats" => Self::Stats,
            "help" => Self::Help,
            "quit" | "exit" => Self::Quit,
            _ => bail!("`{word}` is not a command; `help` lists them"),
        };
        if !rest.is_empty() {
            bail!("`{word}` takes nothing behind it; remove `{rest}`");
        }
        Ok(command)
    }
}

/// A node, and the transaction that is open over several lines.
struct Session<'a> {
    node: &'a Node,
    work: Option<Work<'a>>,
}

impl Session<'_> {
    /// Does what the line says and returns what is to be printed; `None` means the end.
    async fn answer(&mut self, line: &str) -> Result<Option<String>> {
        let answer = match line.parse()? {
            Command::Nothing => String::new(),
            Command::Get(id) => {
                let found = match &self.work {
                    Some(work) => work.find(id).await?,
                    None => self.node.find(id).await?,
                };
                describe(id, &found)
            }
            Command::Set(user) => {
                let what = format!("set {} = {}", user.id, user.name);
                self.write(what, async move |work| work.save(user).await).await?
            }
            Command::Delete(id) => self.write(format!("deleted {id}"), async move |work| work.delete(id).await).await?,
            Command::Begin => {
                if self.work.is_some() {
                    bail!("a transaction is open; `commit` or `rollback` first");
                }
                self.work = Some(self.node.begin());
                "transaction open".to_owned()
            }
            Command::Commit => commit(self.open()?).await?,
            Command::Rollback => format!("rolled back {}", changes(&self.open()?)),
            Command::Stats => stats(self.node),
            Command::Help => HELP.to_owned(),
            Command::Quit => return Ok(None),
        };
        Ok(Some(answer))
    }
}

impl<'a> Session<'a> {
    /// Writes in the open transaction, or in one of its own.
    async fn write(&mut self, what: String, write: impl AsyncFnOnce(&mut Work<'a>) -> Result<()>) -> Result<String> {
        if let Some(work) = &mut self.work {
            write(work).await?;
            return Ok(format!("{what}, not committed yet"));
        }
        let mut work = self.node.begin();
        write(&mut work).await?;
        Ok(format!("{what}, {}", commit(work).await?))
    }

    /// Takes the open transaction.
    fn open(&mut self) -> Result<Work<'a>> {
        self.work.take().context("no transaction is open; `begin` one")
    }
}

async fn commit(work: Work<'_>) -> Result<String> {
    let changes = changes(&work);
    let committed = work.commit().await?;
    match timeout(CONFIRM, committed.confirmed()).await {
        Ok(confirmed) => {
            confirmed?;
            Ok(format!("committed {changes}"))
        }
        Err(_) => Ok(format!("committed {changes}; the broker is away, and the evictions wait for it")),
    }
}

fn changes(work: &Work<'_>) -> String {
    match work.changes() {
        1 => "1 change".to_owned(),
        changes => format!("{changes} changes"),
    }
}

fn describe(id: u64, Found { user, source, took }: &Found) -> String {
    let source = match source {
        Source::Hit => "hit",
        Source::Load => "load",
    };
    match user {
        Some(user) => format!("{id} = {} ({source}, {took:.1?})", user.name),
        None => format!("{id} is not there ({source}, {took:.1?})"),
    }
}

fn stats(node: &Node) -> String {
    let CacheStats { hits, loads, shared, evicted, evicted_by_others, cleared, entries, .. } = node.stats();
    let status = node.status();
    let coherence = match status.coherence {
        Coherence::Coherent { lag } => format!("coherent with the others as of {lag:.1?} ago"),
        Coherence::Suspect { .. } => "the broker is away; the caches may still be served".to_owned(),
        Coherence::Partitioned { .. } => "the broker is away; every lookup loads".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    let error = status.last_error.map(|error| format!("; last error: {error}")).unwrap_or_default();
    format!(
        "hits={hits} loads={loads} shared={shared} evicted={evicted} evicted_by_others={evicted_by_others} \
         cleared={cleared} entries={entries} unconfirmed={}\n{coherence}{error}",
        status.outbox.len()
    )
}

#[cfg(test)]
mod tests {
    use cachesync::memory::MemoryBackend;

    use super::*;
    use crate::{node::Transport, table::Table};

    async fn answers(session: &mut Session<'_>, script: &[(&str, &str)]) {
        for (line, expected) in script {
            let answer = match session.answer(line).await {
                Ok(answer) => answer.unwrap_or_else(|| "the end".to_owned()),
                Err(error) => format!("error: {error:#}"),
            };
            assert!(answer.starts_with(expected), "{line}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_script_is_answered_line_by_line() {
        let table = Table::in_memory(&[]);
        let node = Node::start("node-1", "prompt", Transport::Memory(MemoryBackend::new()), table).await.unwrap();
        let mut session = Session { node: &node, work: None };
        answers(
            &mut session,
            &[
                ("", ""),
                ("get 1", "1 is not there (load,"),
                ("set 1 Ada Lovelace", "set 1 = Ada Lovelace, committed 1 change"),
                ("get 1", "1 = Ada Lovelace (load,"),
                ("get 1", "1 = Ada Lovelace (hit,"),
                ("begin", "transaction open"),
                ("begin", "error: a transaction is open"),
                ("set 1 Grace", "set 1 = Grace, not committed yet"),
                ("set 2 Barbara", "set 2 = Barbara, not committed yet"),
                ("get 1", "1 = Grace (load,"),
                ("rollback", "rolled back 2 changes"),
                ("rollback", "error: no transaction is open"),
                ("get 1", "1 = Ada Lovelace (hit,"),
                ("begin", "transaction open"),
                ("delete 1", "deleted 1, not committed yet"),
                ("commit", "committed 1 change"),
                ("get 1", "1 is not there (load,"),
                ("stats", "hits=2 loads=4 shared=0 evicted=2 evicted_by_others=0 "),
                ("quit", "the end"),
            ],
        )
        .await;
    }

    #[tokio::test]
    async fn what_one_node_commits_another_loads_afresh() {
        let (hub, table) = (Transport::Memory(MemoryBackend::new()), Table::in_memory(&[(1, "Ada")]));
        let one = Node::start("node-1", "prompt", hub.clone(), table.clone()).await.unwrap();
        let other = Node::start("node-2", "prompt", hub, table).await.unwrap();
        let (mut one, mut other) = (Session { node: &one, work: None }, Session { node: &other, work: None });
        answers(&mut other, &[("get 1", "1 = Ada (load,"), ("get 1", "1 = Ada (hit,")]).await;
        answers(&mut one, &[("begin", ""), ("set 1 Grace", ""), ("get 1", "1 = Grace (load,")]).await;
        answers(&mut other, &[("get 1", "1 = Ada (hit,")]).await;
        answers(&mut one, &[("commit", "committed 1 change")]).await;
        let applied = async {
            while other.node.stats().evicted_by_others == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_mins(2), applied).await.unwrap();
        answers(&mut other, &[("get 1", "1 = Grace (load,"), ("get 1", "1 = Grace (hit,")]).await;
    }

    #[test]
    fn a_mistake_is_answered_with_what_to_write() {
        for (line, expected) in [
            ("git 1", "`git` is not a command; `help` lists them"),
            ("get", "`` is not an id; write a number, as in `get 1`"),
            ("get Ada", "`Ada` is not an id; write a number, as in `get 1`"),
            ("set 1", "a name is missing; write it behind the id, as in `set 1 Ada`"),
            ("commit now", "`commit` takes nothing behind it; remove `now`"),
        ] {
            assert_eq!(line.parse::<Command>().unwrap_err().to_string(), expected);
        }
    }
}
