//! The arguments that exist, and which attributes have them.

use proc_macro2::Ident;

use crate::attribute::Attribute;

/// An argument that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    Cache,
    Key,
    Keys,
    Tag,
    All,
    Skip,
    Condition,
    Unless,
    Always,
    Before,
    Ttl,
    Tags,
    CacheNone,
    NoneTtl,
    CacheErr,
    ErrTtl,
    CacheValue,
    Registry,
    Transaction,
    RequiresTransaction,
    Crate,
}

/// How an argument is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `name = expression`.
    Expression,
    /// `name = path`.
    Path,
    /// `name(parameter, parameter)`.
    Names,
    /// `name`.
    Flag,
}

impl Name {
    const ALL: [Self; 21] = [
        Self::Cache,
        Self::Key,
        Self::Keys,
        Self::Tag,
        Self::All,
        Self::Skip,
        Self::Condition,
        Self::Unless,
        Self::Always,
        Self::Before,
        Self::Ttl,
        Self::Tags,
        Self::CacheNone,
        Self::NoneTtl,
        Self::CacheErr,
        Self::ErrTtl,
        Self::CacheValue,
        Self::Registry,
        Self::Transaction,
        Self::RequiresTransaction,
        Self::Crate,
    ];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Key => "key",
            Self::Keys => "keys",
            Self::Tag => "tag",
            Self::All => "all",
            Self::Skip => "skip",
            Self::Condition => "condition",
            Self::Unless => "unless",
            Self::Always => "always",
            Self::Before => "before",
            Self::Ttl => "ttl",
            Self::Tags => "tags",
            Self::CacheNone => "cache_none",
            Self::NoneTtl => "none_ttl",
            Self::CacheErr => "cache_err",
            Self::ErrTtl => "err_ttl",
            Self::CacheValue => "cache_value",
            Self::Registry => "registry",
            Self::Transaction => "transaction",
            Self::RequiresTransaction => "requires_transaction",
            Self::Crate => "crate",
        }
    }

    /// How the argument is written; shown when it was written otherwise.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::Cache => "cache = \"users\"",
            Self::Key => "key = id",
            Self::Keys => "keys = ids",
            Self::Tag => "tag = format!(\"team:{team}\")",
            Self::Skip => "skip(db)",
            Self::Condition => "condition = id > 0",
            Self::Unless => "unless = result.is_draft()",
            Self::Ttl => "ttl = Duration::from_secs(60)",
            Self::Tags => "tags = [format!(\"team:{team}\")]",
            Self::NoneTtl => "none_ttl = Duration::from_secs(60)",
            Self::CacheErr => "cache_err = |error| error.is_not_found()",
            Self::ErrTtl => "err_ttl = Duration::from_secs(60)",
            Self::Registry => "registry = self.registry",
            Self::Transaction => "transaction = self.transaction",
            Self::Crate => "crate = path::to::cachesync",
            Self::All
            | Self::Always
            | Self::Before
            | Self::CacheNone
            | Self::CacheValue
            | Self::RequiresTransaction => self.text(),
        }
    }

    pub(super) fn form(self) -> Form {
        match self {
            Self::Crate => Form::Path,
            Self::Skip => Form::Names,
            Self::All
            | Self::Always
            | Self::Before
            | Self::CacheNone
            | Self::CacheValue
            | Self::RequiresTransaction => Form::Flag,
            _ => Form::Expression,
        }
    }

    /// The attributes that have this argument.
    fn attributes(self) -> &'static [Attribute] {
        use Attribute::{CacheConfig, CacheEvict, CachePut, Cacheable};
        match self {
            Self::Cache | Self::Registry | Self::Transaction | Self::Crate => {
                &[Cacheable, CachePut, CacheEvict, CacheConfig]
            }
            Self::Key | Self::Skip | Self::Condition | Self::Unless | Self::CacheValue => {
                &[Cacheable, CachePut, CacheEvict]
            }
            Self::Keys => &[Cacheable, CacheEvict],
            Self::Ttl => &[Cacheable, CachePut, CacheConfig],
            Self::Tags | Self::CacheNone | Self::NoneTtl => &[Cacheable, CachePut],
            Self::CacheErr | Self::ErrTtl => &[Cacheable],
            Self::Tag | Self::All | Self::Always | Self::Before => &[CacheEvict],
            Self::RequiresTransaction => &[CachePut, CacheEvict, CacheConfig],
        }
    }

    pub(crate) fn belongs_to(self, attribute: Attribute) -> bool {
        self.attributes().contains(&attribute)
    }

    pub(super) fn of(ident: &Ident) -> Option<Self> {
        Self::ALL.into_iter().find(|name| ident == name.text())
    }

    /// The arguments of `attribute`.
    pub(super) fn all_of(attribute: Attribute) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |name| name.belongs_to(attribute))
    }

    /// The argument of `attribute` that a misspelt one, or the beginning of one, is most likely meant to be.
    pub(super) fn meant_by(ident: &Ident, attribute: Attribute) -> Option<Self> {
        const BEGINNING: usize = 3;
        let written = ident.to_string();
        let begins = |name: &Self| written.len() >= BEGINNING && name.text().starts_with(&written);
        let begun = Self::all_of(attribute).find(begins);
        let misspelt = Self::all_of(attribute)
            .map(|name| (strsim::damerau_levenshtein(&written, name.text()), name))
            .filter(|(distance, name)| *distance <= (name.text().len() * 2 / 5).max(1))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name);
        misspelt.or(begun)
    }

    /// Why `attribute` does not have this argument, which others have.
    pub(super) fn elsewhere(self, attribute: Attribute) -> String {
        let text = self.text();
        match (self, attribute) {
            (Self::Tags, Attribute::CacheEvict) => {
                return format!("`{text}` gives tags to an entry: {attribute} evicts by `tag = ...`");
            }
            (Self::Tag, Attribute::Cacheable | Attribute::CachePut) => {
                return format!("`{text}` says what is evicted: {attribute} gives tags by `tags = [...]`");
            }
            (Self::Keys, Attribute::CachePut) => {
                return format!("{attribute} stores one value, and has no `{text}`: write `key = ...`");
            }
            (Self::Condition | Self::Unless, Attribute::CacheConfig) => {
                return format!("`{text}` is of one function, and no default of many: write it at that function");
            }
            _ => {}
        }
        let owners = self.attributes().iter().filter(|owner| **owner != Attribute::CacheConfig);
        let owners = listed(&owners.map(ToString::to_string).collect::<Vec<_>>());
        format!("`{text}` is an argument of {owners}: remove it from {attribute}")
    }
}

/// `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_is_recognised_and_another_is_not() {
        for (written, meant) in [
            ("chace", Some(Name::Cache)),
            ("kyes", Some(Name::Keys)),
            ("regsitry", Some(Name::Registry)),
            ("allways", Some(Name::Always)),
            ("conditon", Some(Name::Condition)),
            ("transacton", Some(Name::Transaction)),
            ("requires_transactions", Some(Name::RequiresTransaction)),
            ("trans", Some(Name::Transaction)),
            ("req", Some(Name::RequiresTransaction)),
            ("ALL", None),
            ("name", None),
            ("where", None),
        ] {
            let ident = quote::format_ident!("{written}");
            assert_eq!(Name::meant_by(&ident, Attribute::CacheEvict), meant, "{written}");
        }
    }

    #[test]
    fn every_argument_shows_itself_in_its_example() {
        for name in Name::ALL {
            assert!(name.example().starts_with(name.text()), "{}", name.example());
            assert!(!name.attributes().is_empty(), "{}", name.text());
        }
    }

    #[test]
    fn an_argument_of_other_attributes_is_named_with_them() {
        let says = |name: Name, attribute| name.elsewhere(attribute);
        assert_eq!(
            says(Name::Before, Attribute::Cacheable),
            "`before` is an argument of `#[cache_evict]`: remove it from `#[cacheable]`"
        );
        assert_eq!(
            says(Name::Ttl, Attribute::CacheEvict),
            "`ttl` is an argument of `#[cacheable]` and `#[cache_put]`: remove it from `#[cache_evict]`"
        );
        assert!(
            says(Name::Key, Attribute::CacheConfig)
                .contains("an argument of `#[cacheable]`, `#[cache_put]` and `#[cache_evict]`: remove it")
        );
        assert!(says(Name::Tags, Attribute::CacheEvict).ends_with("evicts by `tag = ...`"));
        assert!(says(Name::Tag, Attribute::CachePut).ends_with("gives tags by `tags = [...]`"));
        assert!(says(Name::Condition, Attribute::CacheConfig).contains("at that function"));
    }
}
