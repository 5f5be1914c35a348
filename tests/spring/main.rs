//! tmp

mod blocks;
mod by_hand;
mod conditions;
mod evicting;
mod failures;
mod fixture;
mod futures;
mod jsr107;
mod keys;
mod loading;
mod putting;
mod registries;
mod services;
mod several;
mod transactions;

use fixture::{Calls, Entity, Refused};
