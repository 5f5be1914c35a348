//! `#[cache_config]`: defaults for the attributes in an `impl` or a trait.
//!
//! Architecture invariant: the block is not parsed but for its head. The attributes in it are found by the last segment of
//! their path, and are given one more argument; all else stays as it is, so that syntax that is newer than `syn` works.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Attribute as OtherAttribute, GenericParam, Generics, Token, Visibility, parse::ParseStream, parse::Parser};

use crate::{
    arguments::{Arguments, Name},
    attribute::Attribute,
    block::hidden,
    leaving,
    mistakes::Mistakes,
    model::{caches_of, check_ttl},
    names::Values,
};

const ATTRIBUTE: Attribute = Attribute::CacheConfig;

/// Expands `#[cache_config(arguments)] item`.
pub(crate) fn expand(arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    check(&Arguments::parse(arguments.clone(), ATTRIBUTE, &mut mistakes), &mut mistakes);
    let are_mistaken = mistakes.count() > 0;
    let mut tokens: Vec<TokenTree> = item.clone().into_iter().collect();
    let expanded = match head(&tokens) {
        Ok(head) => {
            head.check(&mut mistakes);
            let argument = hidden(&head.generics, head.self_type.as_ref(), are_mistaken, arguments);
            let mut found = false;
            if let Some(TokenTree::Group(body)) = tokens.last_mut() {
                *body = with_stream(body, in_block(body.stream(), &argument, &mut found));
            }
            if !found {
                mistakes.at(
                    Span::call_site(),
                    format_args!(
                        "no function in this block has {}, {} or {}: remove {ATTRIBUTE}",
                        Attribute::Cacheable,
                        Attribute::CachePut,
                        Attribute::CacheEvict
                    ),
                );
            }
            tokens.into_iter().collect()
        }
        Err(error) => {
            mistakes.add(error);
            item.clone()
        }
    };
    let errors = mistakes.into_compile_errors();
    quote!(#expanded #errors)
}

/// Finds what is wrong with the defaults, so that the functions need not.
fn check(arguments: &Arguments, mistakes: &mut Mistakes) {
    if let Some(argument) = arguments.expression(Name::Cache) {
        caches_of(argument, mistakes);
    }
    for (name, what, instead) in [
        (Name::Registry, "`registry`", "name a registry that is always there"),
        (Name::Transaction, "`transaction`", "name a transaction that is always there"),
        (Name::Ttl, "`ttl`", "make a value in that case too (`unwrap_or`, `match`)"),
    ] {
        if let Some(argument) = arguments.expression(name) {
            leaving::refuse(&argument.value, what, instead, mistakes);
        }
    }
    let Some(argument) = arguments.expression(Name::Ttl) else { return };
    check_ttl(argument, mistakes);
    for ident in Values::of(&argument.value).free().filter(|ident| *ident != "self" && *ident != "result") {
        mistakes.on(
            ident,
            format_args!(
                "{ATTRIBUTE} knows no parameters: use `self` or `result`, or give the functions a `ttl` of their own (an \
                 item of this name can be written `self::{ident}`)"
            ),
        );
    }
}

/// What comes before the braces.
struct Head {
    attributes: Vec<OtherAttribute>,
    generics: Vec<Ident>,
    /// What it is an `impl` of; nothing in a trait.
    self_type: Option<TokenStream>,
}

impl Head {
    fn check(&self, mistakes: &mut Mistakes) {
        for attribute in &self.attributes {
            if attribute.path().segments.last().is_some_and(|last| last.ident == ATTRIBUTE.name()) {
                mistakes.on(attribute, format_args!("{ATTRIBUTE} is on this block twice: make one of the two"));
            }
        }
    }
}

fn head(tokens: &[TokenTree]) -> syn::Result<Head> {
    let wrong = || {
        let says = format!("{ATTRIBUTE} goes on an `impl` or a `trait`: remove it, or move it to one");
        syn::Error::new(keyword(tokens).unwrap_or_else(Span::call_site), says)
    };
    let (TokenTree::Group(body), head) = tokens.split_last().ok_or_else(wrong)? else { return Err(wrong()) };
    if body.delimiter() != Delimiter::Brace {
        return Err(wrong());
    }
    let head: TokenStream = head.iter().cloned().collect();
    let parser = |input: ParseStream<'_>| {
        let attributes = input.call(OtherAttribute::parse_outer)?;
        input.parse::<Visibility>()?;
        // `unsafe`, `default`, `auto` and what may come.
        while input.peek(syn::Ident) || input.peek(Token![unsafe]) || input.peek(Token![default]) {
            input.parse::<TokenTree>()?;
        }
        let is_impl = input.peek(Token![impl]);
        if !is_impl && !input.peek(Token![trait]) {
            return Err(wrong());
        }
        input.parse::<TokenTree>()?;
        if !is_impl {
            input.parse::<Ident>()?;
        }
        let generics: Generics = input.parse()?;
        let generics = generics.params.iter().filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => Some(parameter.ident.clone()),
            GenericParam::Const(parameter) => Some(parameter.ident.clone()),
            GenericParam::Lifetime(_) => None,
        });
        let generics = generics.collect();
        let rest: TokenStream = input.parse()?;
        let self_type = is_impl.then(|| self_type(rest));
        Ok(Head { attributes, generics, self_type })
    };
    parser.parse2(head)
}

/// The word that says what an item is, after its attributes and visibility.
fn keyword(tokens: &[TokenTree]) -> Option<Span> {
    let mut words = tokens.iter().filter_map(|token| match token {
        TokenTree::Ident(word) => Some(word),
        _ => None,
    });
    words.find(|word| *word != "pub").map(Ident::span)
}

/// The type, of `Type where ..` or `Trait for Type where ..`.
fn self_type(rest: TokenStream) -> TokenStream {
    let mut depth = 0i32;
    let mut ty = TokenStream::new();
    let mut tokens = rest.into_iter().peekable();
    let mut after_minus = false;
    while let Some(token) = tokens.next() {
        match &token {
            TokenTree::Punct(punct) if punct.as_char() == '<' => depth += 1,
            TokenTree::Punct(punct) if punct.as_char() == '>' && !after_minus => depth -= 1,
            TokenTree::Ident(word) if depth == 0 && word == "where" => break,
            TokenTree::Ident(word) if depth == 0 && word == "for" => {
                let binds = matches!(tokens.peek(), Some(TokenTree::Punct(punct)) if punct.as_char() == '<');
                if !binds {
                    ty = TokenStream::new();
                    continue;
                }
            }
            _ => {}
        }
        after_minus = matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '-');
        ty.extend([token]);
    }
    ty
}

/// The content of the block, in which each of our attributes has one more `argument`.
fn in_block(content: TokenStream, argument: &TokenStream, found: &mut bool) -> TokenStream {
    let mut after_hash = false;
    content
        .into_iter()
        .map(|token| match token {
            TokenTree::Group(group) if after_hash && group.delimiter() == Delimiter::Bracket => {
                after_hash = false;
                let meta = in_attribute(group.stream(), argument, found);
                TokenTree::Group(with_stream(&group, meta))
            }
            other => {
                after_hash = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '#');
                other
            }
        })
        .collect()
}

/// An attribute, without its brackets.
fn in_attribute(meta: TokenStream, argument: &TokenStream, found: &mut bool) -> TokenStream {
    let mut tokens: Vec<TokenTree> = meta.into_iter().collect();
    let path_ends = tokens
        .iter()
        .position(|token| !matches!(token, TokenTree::Ident(_)) && !is_punct(token, ':'))
        .unwrap_or(tokens.len());
    let Some(TokenTree::Ident(last)) = tokens[..path_ends].last() else { return tokens.into_iter().collect() };
    let is_ours = [Attribute::Cacheable, Attribute::CachePut, Attribute::CacheEvict]
        .iter()
        .any(|attribute| last == attribute.name());
    let is_conditional = last == "cfg_attr";
    match tokens.get_mut(path_ends) {
        Some(TokenTree::Group(group)) if is_ours && group.delimiter() == Delimiter::Parenthesis => {
            *found = true;
            let own = group.stream();
            *group = with_stream(group, quote!(#argument, #own));
        }
        None if is_ours => {
            *found = true;
            tokens.push(TokenTree::Group(Group::new(Delimiter::Parenthesis, argument.clone())));
        }
        Some(TokenTree::Group(group)) if is_conditional => {
            let inner = group.stream();
            *group = with_stream(group, in_conditional(inner, argument, found));
        }
        _ => {}
    }
    tokens.into_iter().collect()
}

/// What is in the parentheses of a `cfg_attr`: a predicate, and then attributes.
fn in_conditional(content: TokenStream, argument: &TokenStream, found: &mut bool) -> TokenStream {
    let tokens: Vec<TokenTree> = content.into_iter().collect();
    let mut parts = tokens.split(|token| is_punct(token, ','));
    let mut all: TokenStream = parts.next().into_iter().flatten().cloned().collect();
    for part in parts {
        let comma = Punct::new(',', Spacing::Alone);
        all.extend(comma.into_token_stream());
        all.extend(in_attribute(part.iter().cloned().collect(), argument, found));
    }
    all
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

/// `group` with another content.
fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut changed = Group::new(group.delimiter(), stream);
    changed.set_span(group.span());
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(tokens: impl ToTokens) -> String {
        tokens.to_token_stream().to_string()
    }

    fn expanded(arguments: &TokenStream, item: &TokenStream) -> String {
        text(expand(arguments, item))
    }

    #[test]
    fn every_attribute_of_ours_is_told_and_nothing_else_changes() {
        let arguments = quote!(cache = "users", registry = self.registry);
        let item = quote! {
            #[async_trait]
            impl<'a, Db: Database<Row = User>, const N: usize> Repository<Db> for Users<'a, Db, N> where Db: Clone {
                #![allow(unused)]
                #[cacheable]
                #[doc = "Finds."]
                async fn find(&self) {}
                #[cachesync::cache_put(key = id)]
                fn put(&self) {}
                #[cfg_attr(feature = "a", cache_evict(all), inline)]
                fn evict(&self) -> [u8; 3] {}
                some syntax, of the future
            }
        };
        let hidden = quote!(__cachesync_config[[Db, N] [Users<'a, Db, N>] [] [#arguments]]);
        let expected = quote! {
            #[async_trait]
            impl<'a, Db: Database<Row = User>, const N: usize> Repository<Db> for Users<'a, Db, N> where Db: Clone {
                #![allow(unused)]
                #[cacheable(#hidden)]
                #[doc = "Finds."]
                async fn find(&self) {}
                #[cachesync::cache_put(#hidden, key = id)]
                fn put(&self) {}
                #[cfg_attr(feature = "a", cache_evict(#hidden, all), inline)]
                fn evict(&self) -> [u8; 3] {}
                some syntax, of the future
            }
        };
        assert_eq!(expanded(&arguments, &item), text(expected));
    }

    #[test]
    fn the_head_is_understood_however_it_is_written() {
        for (item, generics, self_type) in [
            (quote!(impl Users {}), "", Some("Users")),
            (
                quote!(
                    unsafe impl<T> A for fn(u8) -> T {}
                ),
                "T",
                Some("fn (u8) -> T"),
            ),
            (
                quote!(
                    impl<F> A<fn() -> F> for (F,) where for<'a> F: Fn(&'a u8) {}
                ),
                "F",
                Some("(F ,)"),
            ),
            (quote!(impl A for dyn for<'a> B<'a> {}), "", Some("dyn for < 'a > B < 'a >")),
            (
                quote!(
                    pub(crate) unsafe trait A<T, U>: B<T>
                    where
                        U: C,
                    {
                    }
                ),
                "T U",
                None,
            ),
            (
                quote!(
                    #[doc = "A."]
                    trait A {}
                ),
                "",
                None,
            ),
        ] {
            let head = head(&item.clone().into_iter().collect::<Vec<_>>()).expect("a head");
            let names: Vec<_> = head.generics.iter().map(ToString::to_string).collect();
            assert_eq!(names.join(" "), generics, "{item}");
            assert_eq!(head.self_type.map(text).as_deref(), self_type, "{item}");
        }
    }

    fn mistakes(arguments: &TokenStream, item: &TokenStream) -> usize {
        expanded(arguments, item).matches("compile_error").count()
    }

    #[test]
    fn a_mistake_in_its_arguments_is_reported_once_and_the_functions_stay_silent() {
        let item = quote! {
            impl Users {
                #[cacheable]
                async fn find(&self) {}
                #[cache_evict]
                async fn save(&self) {}
            }
        };
        for bad in [
            quote!(cache = "a b"),
            quote!(cache = []),
            quote!(ttl = 60),
            quote!(ttl = limit),
            quote!(registry = registry()?),
            quote!(condition = true),
            quote!(key = id),
            quote!(chace = "a"),
        ] {
            assert_eq!(mistakes(&bad, &item), 1, "{bad}");
            let hidden = hidden(&[], None, true, &bad);
            let function = quote!(
                async fn find(id: u64) -> Option<u64> {}
            );
            let messages = crate::attribute::mistakes_in(Attribute::Cacheable, quote!(#hidden), function.clone());
            assert_eq!(messages, [""; 0], "{bad}");
            let emitted = crate::attribute::expand(Attribute::Cacheable, quote!(#hidden), &function);
            assert_eq!(text(emitted), text(function), "it is as if the attribute were not there");
        }
        for good in [quote!(), quote!(cache = "a", ttl = |user| user.ttl), quote!(ttl = self.ttl, requires_transaction)]
        {
            assert_eq!(mistakes(&good, &item), 0, "{good}");
        }
    }

    #[test]
    fn a_block_in_which_there_is_nothing_to_do_is_a_mistake() {
        for item in [
            quote!(impl Users { async fn find(&self) {} }),
            quote!(
                struct Users;
            ),
            quote!(
                struct Users {}
            ),
            quote!(
                #[cachesync::cache_config(cache = "b")]
                impl Users {
                    #[cacheable]
                    async fn find(&self) {}
                }
            ),
        ] {
            assert_eq!(mistakes(&quote!(cache = "a"), &item), 1, "{item}");
        }
    }
}
