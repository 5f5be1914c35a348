#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct Team;

#[cacheable(cache = "users", key = id, tags = ["all", team])]
async fn listed(id: u64, team: Team) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = id, tags = teams)]
async fn iterated(id: u64, teams: Vec<Team>) -> Option<u64> { Some(id) }

fn main() {}
