//! What `#[cache_config]` tells the attributes in its block: defaults, and what they cannot see from their function.
//!
//! It travels as the first argument of each of them, by a name that nobody writes:
//! `__cachesync_config[[T, N] [Users<T>] [] [cache = "users"]]`. The four lists are the generic parameters of the block,
//! its `Self` type, whether its arguments were mistaken, and its arguments.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Token, Type, bracketed, parse::ParseStream, punctuated::Punctuated};

use crate::{arguments::Arguments, attribute::Attribute, mistakes::Mistakes};

/// The name of the argument.
pub(crate) const HIDDEN: &str = "__cachesync_config";

/// An `impl` or trait with a `#[cache_config]`.
#[derive(Default)]
pub(crate) struct Block {
    /// Its type and const parameters.
    pub(crate) generics: Vec<Ident>,
    /// What it is an `impl` of; nothing in a trait.
    pub(crate) self_type: Option<Type>,
    /// What is wrong with the arguments of `#[cache_config]` was said there.
    pub(crate) mistaken: bool,
    /// The defaults, until the attribute takes them over.
    pub(crate) defaults: Box<Arguments>,
}

impl Block {
    /// Reads what is between the brackets.
    pub(crate) fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let next = || {
            let content;
            bracketed!(content in input);
            content.parse::<TokenStream>()
        };
        let generics = syn::parse::Parser::parse2(Punctuated::<Ident, Token![,]>::parse_terminated, next()?)?;
        let self_type = syn::parse2(next()?).ok();
        let mistaken = !next()?.is_empty();
        let defaults = Arguments::parse(next()?, Attribute::CacheConfig, &mut Mistakes::default());
        Ok(Self { generics: generics.into_iter().collect(), self_type, mistaken, defaults: Box::new(defaults) })
    }
}

/// The argument that [`Block::parse`] reads.
pub(crate) fn hidden(
    generics: &[Ident],
    self_type: Option<&TokenStream>,
    mistaken: bool,
    defaults: &TokenStream,
) -> TokenStream {
    let name = Ident::new(HIDDEN, Span::mixed_site());
    let mistaken = mistaken.then(|| Ident::new("mistaken", Span::mixed_site()).into_token_stream());
    quote!(#name [[#(#generics),*] [#self_type] [#mistaken] [#defaults]])
}
