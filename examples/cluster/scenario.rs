//! What three nodes show, and the proof of it.
//!
//! Every line that is printed was asserted before, and every answer is entered into books that must agree with the
//! nodes' own statistics in the end.

use std::{
    fmt::Write as _,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use comfy_table::{CellAlignment, Table as Printed, presets::ASCII_MARKDOWN};
use futures_util::future::join_all;

use crate::{
    node::{
        Found, Node,
        Source::{self, Hit, Load},
        Transport,
    },
    table::{Table, User},
};

const NODES: usize = 3;
const CALLERS: usize = 1_000;
/// How long to wait for what takes milliseconds, however busy the machine is.
const DEADLINE: Duration = Duration::from_mins(2);
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_micros(200);

/// Starts three nodes on `transport`, lets them show what they can, and ends them.
pub async fn run(transport: Transport, namespace: &str, out: &mut impl Write) -> Result<()> {
    let table = Table::in_memory(&[(1, "Ada"), (2, "Grace"), (3, "Edsger"), (4, "Barbara")]);
    let mut nodes = Vec::new();
    for number in 1..=NODES {
        let node = Node::start(&format!("node-{number}"), namespace, transport.clone(), table.clone()).await?;
        nodes.push(Arc::new(node));
    }
    let mut show = Show { nodes, table, books: [Books::default(); NODES], out };
    show.all().await?;
    for node in &show.nodes {
        node.shutdown().await?;
    }
    Ok(())
}

struct Show<'a, W> {
    nodes: Vec<Arc<Node>>,
    table: Table,
    books: [Books; NODES],
    out: &'a mut W,
}

/// What a node should have counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Books {
    hits: u64,
    loads: u64,
    shared: u64,
    evicted: u64,
    evicted_by_others: u64,
}

impl<W: Write> Show<'_, W> {
    async fn all(&mut self) -> Result<()> {
        self.reads_become_hits().await?;
        self.a_commit_evicts_everywhere().await?;
        self.a_rollback_evicts_nothing().await?;
        self.callers_share_a_load().await?;
        self.books_agree()
    }

    async fn reads_become_hits(&mut self) -> Result<()> {
        self.say("1. Every node loads a user once. From then on it answers from its own memory.")?;
        for source in [Load, Hit] {
            self.everybody_finds(&[(1, "Ada", source), (2, "Grace", source), (3, "Edsger", source)]).await?;
        }
        Ok(())
    }

    async fn a_commit_evicts_everywhere(&mut self) -> Result<()> {
        let writer = self.nodes[0].clone();
        self.say("2. A transaction on node-1 writes two users. It reads its own writes, nobody else does.")?;
        let mut work = writer.begin();
        work.save(user(1, "Ada Lovelace")).await?;
        work.save(user(2, "Grace Hopper")).await?;
        let mut line = String::new();
        for (id, name) in [(1, "Ada Lovelace"), (2, "Grace Hopper")] {
            self.check(0, &work.find(id).await?, id, name, Load, &mut line)?;
        }
        self.say(format!("   node-1 inside  {line}"))?;
        self.everybody_finds(&[(1, "Ada", Hit), (2, "Grace", Hit)]).await?;
        self.evictions_are_as_expected()?;
        self.say("   Nothing has been evicted before the commit.")?;

        self.say("3. The transaction commits. Every node loads these two afresh, and keeps the third.")?;
        let committed = work.commit().await?;
        let since = Instant::now();
        committed.confirmed().await?;
        self.evicted_by(0, 2);
        self.evictions_reach_everybody().await?;
        let took = since.elapsed();
        self.everybody_finds(&[(1, "Ada Lovelace", Load), (2, "Grace Hopper", Load), (3, "Edsger", Hit)]).await?;
        self.everybody_finds(&[(1, "Ada Lovelace", Hit), (2, "Grace Hopper", Hit)]).await?;
        self.say(format!("   Two evictions had reached every node {took:.1?} after the commit."))
    }

    async fn a_rollback_evicts_nothing(&mut self) -> Result<()> {
        let writer = self.nodes[1].clone();
        self.say("4. A transaction on node-2 is rolled back: nothing is evicted, anywhere.")?;
        let mut work = writer.begin();
        work.save(user(3, "Nobody")).await?;
        let mut line = String::new();
        self.check(1, &work.find(3).await?, 3, "Nobody", Load, &mut line)?;
        self.say(format!("   node-2 inside  {line}"))?;
        drop(work);

        // Evictions of one node arrive in order. If the rollback had sent one, it would be ahead of this.
        let mut next = writer.begin();
        next.save(user(5, "Tony")).await?;
        next.commit().await?;
        self.evicted_by(1, 1);
        self.evictions_reach_everybody().await?;
        self.everybody_finds(&[(3, "Edsger", Hit), (5, "Tony", Load)]).await?;
        self.say("   All that arrived is the eviction of node-2's next transaction, which wrote user 5.")
    }

    async fn callers_share_a_load(&mut self) -> Result<()> {
        self.say(format!(
            "5. {CALLERS} callers on node-3 ask for one user at the same time: the table is asked once."
        ))?;
        let (node, selects) = (self.nodes[2].clone(), self.table.selects());
        for answer in join_all((0..CALLERS).map(|_| node.find(4))).await {
            let name = answer?.user.map(|user| user.name.clone());
            ensure!(name.as_deref() == Some("Barbara"), "a caller of user 4 got {name:?} in place of Barbara");
        }
        let selects = self.table.selects() - selects;
        ensure!(selects == 1, "{CALLERS} callers made {selects} selects in place of one");
        self.books[2].loads += 1;
        self.books[2].shared += CALLERS as u64 - 1;
        Ok(())
    }

    fn books_agree(&mut self) -> Result<()> {
        let mut printed = Printed::new();
        printed.load_preset(ASCII_MARKDOWN);
        printed.set_header(["node", "hits", "loads", "shared", "evictions", "evicted by others"]);
        for column in printed.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for (node, books) in self.nodes.iter().zip(&self.books) {
            let Books { hits, loads, shared, evicted, evicted_by_others } = *books;
            let actual = counted(node);
            ensure!(actual == *books, "{} has counted {actual:?}; what was shown makes {books:?}", node.name());
            let numbers = [hits, loads, shared, evicted, evicted_by_others].map(|number| number.to_string());
            printed.add_row([node.name().to_owned()].into_iter().chain(numbers));
        }
        self.say(format!("\n{printed}\n\nAll of this was checked while it ran."))
    }

    /// Every node must answer so, and from there.
    async fn everybody_finds(&mut self, expected: &[(u64, &str, Source)]) -> Result<()> {
        for index in 0..NODES {
            let mut line = String::new();
            for (id, name, source) in expected {
                let found = self.nodes[index].find(*id).await?;
                self.check(index, &found, *id, name, *source, &mut line)?;
            }
            self.say(format!("   {}         {line}", self.nodes[index].name()))?;
        }
        Ok(())
    }

    /// Checks an answer, enters it into the books, and appends it to `line`.
    fn check(
        &mut self,
        node: usize,
        found: &Found,
        id: u64,
        name: &str,
        source: Source,
        line: &mut String,
    ) -> Result<()> {
        let Found { user, source: actual, .. } = found;
        let actual_name = user.as_ref().map(|user| user.name.as_str());
        if actual_name != Some(name) || *actual != source {
            bail!(
                "{} answered user {id} with {actual_name:?} by a {actual:?}; it should be {name:?} by a {source:?}",
                self.nodes[node].name()
            );
        }
        match source {
            Hit => self.books[node].hits += 1,
            Load => self.books[node].loads += 1,
        }
        let source = format!("({source:?})").to_lowercase();
        write!(line, "{id}: {name:<13} {source:<8}")?;
        Ok(())
    }

    /// Enters evictions by one node into the books of all.
    fn evicted_by(&mut self, writer: usize, keys: u64) {
        for (index, books) in self.books.iter_mut().enumerate() {
            *(if index == writer { &mut books.evicted } else { &mut books.evicted_by_others }) += keys;
        }
    }

    fn evictions_are_as_expected(&self) -> Result<()> {
        for (node, books) in self.nodes.iter().zip(&self.books) {
            let Books { evicted, evicted_by_others, .. } = counted(node);
            ensure!(
                (evicted, evicted_by_others) == (books.evicted, books.evicted_by_others),
                "{} has evicted {evicted} keys, and others {evicted_by_others} of its; it should be {} and {}",
                node.name(),
                books.evicted,
                books.evicted_by_others
            );
        }
        Ok(())
    }

    /// Waits for the evictions in the books to be applied.
    async fn evictions_reach_everybody(&self) -> Result<()> {
        let began = Instant::now();
        while let Err(error) = self.evictions_are_as_expected() {
            if began.elapsed() > DEADLINE {
                return Err(error.context(format!("the evictions have not reached everybody after {DEADLINE:?}")));
            }
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    fn say(&mut self, line: impl AsRef<str>) -> Result<()> {
        Ok(writeln!(self.out, "{}", line.as_ref().trim_end())?)
    }
}

fn counted(node: &Node) -> Books {
    let stats = node.stats();
    Books {
        hits: stats.hits,
        loads: stats.loads,
        shared: stats.shared,
        evicted: stats.evicted,
        evicted_by_others: stats.evicted_by_others,
    }
}

fn user(id: u64, name: &str) -> User {
    User { id, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use cachesync::memory::MemoryBackend;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_that_is_shown_is_true_on_the_memory_backend() {
        let mut out = Vec::new();
        run(Transport::Memory(MemoryBackend::new()), "scenario", &mut out).await.unwrap();
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("| node-3 |"), "{out}");
    }

    #[tokio::test]
    async fn an_untrue_statement_is_an_error() {
        let hub = Transport::Memory(MemoryBackend::new());
        let table = Table::in_memory(&[(1, "Ada")]);
        let node = Node::start("node-1", "untrue", hub, table.clone()).await.unwrap();
        let mut show =
            Show { nodes: vec![Arc::new(node)], table, books: [Books::default(); NODES], out: &mut Vec::new() };
        let found = show.nodes[0].find(1).await.unwrap();
        let error = show.check(0, &found, 1, "Grace", Load, &mut String::new()).unwrap_err().to_string();
        assert_eq!(error, r#"node-1 answered user 1 with Some("Ada") by a Load; it should be "Grace" by a Load"#);
        let error = show.books_agree().unwrap_err().to_string();
        assert!(error.starts_with("node-1 has counted"), "{error}");
    }
}
