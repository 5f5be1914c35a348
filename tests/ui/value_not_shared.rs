#![allow(dead_code, unused_variables)]

use std::{cell::RefCell, fmt::Display, rc::Rc, sync::Arc};

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn counted(id: u64) -> Option<Rc<u64>> { None }

#[cacheable(cache = "users")]
async fn object(id: u64) -> Option<Arc<dyn Display>> { None }

#[cacheable(cache = "users")]
async fn cell(id: u64) -> Arc<RefCell<u64>> { Arc::default() }

fn main() {}
