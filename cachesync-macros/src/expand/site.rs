//! The static behind an annotated function, and its entry in the list of all of them.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{LitBool, LitStr, ext::IdentExt};

use super::{cache_evict::success, cacheable::returned, keyed::Evaluation, never, place::Place, private};
use crate::{
    attribute::{Action, Entries, Use},
    function::Parameter,
    key::Key,
    outside::{Outside, with_lifetime},
};

/// Two items. Several attributes on one function each put theirs in a block of its own.
pub(super) fn site(used: &Use) -> TokenStream {
    let private = private(Span::mixed_site());
    let cache = &used.cache;
    let function = LitStr::new(&format!("::{}", used.function.name().unraw()), Span::mixed_site());
    let explicit_registry = LitBool::new(used.registry.is_some(), Span::mixed_site());
    let (role, key, value) = match &used.action {
        Action::Load { key } => ("Load", key_type(used, key), value_type(used)),
        Action::Evict { entries: Entries::Of(key), .. } => ("Evict", key_type(used, key), None),
        Action::Evict { entries: Entries::All, .. } => ("Evict", None, None),
    };
    let role = proc_macro2::Ident::new(role, Span::mixed_site());
    let none = || quote_spanned!(Span::mixed_site()=> #private::core::option::Option::None);
    let (key, value) = (key.unwrap_or_else(none), value.unwrap_or_else(none));
    quote_spanned! {Span::mixed_site()=>
        static __CACHESYNC_SITE: #private::CallSite = #private::CallSite::new(#private::SiteInfo {
            cache: #cache,
            function: #private::core::concat!(#private::core::module_path!(), #function),
            file: #private::core::file!(),
            line: #private::core::line!(),
            role: #private::Role::#role,
            explicit_registry: #explicit_registry,
            types: || #private::SiteTypes { key: #key, value: #value },
        });
        #[cfg(not(target_family = "wasm"))]
        #[#private::linkme::distributed_slice(#private::SITES)]
        #[linkme(crate = #private::linkme)]
        static __CACHESYNC_REGISTRATION: &#private::CallSite = &__CACHESYNC_SITE;
    }
}

/// The type of the key, from a closure that is never called; `None` where a static cannot tell it.
fn key_type(used: &Use, key: &Key) -> Option<TokenStream> {
    let private = private(Span::mixed_site());
    let function = &used.function;
    let outside = Outside::of(function);
    let parameters = key.parameters(function).collect::<Vec<_>>();
    let writable = outside.has_key(key)
        && parameters.iter().all(|parameter| !parameter.conditional && outside.has_type(&parameter.ty))
        && (key.result.is_none() || outside.has_type(&used.returns.ty));
    if !writable {
        return None;
    }
    let parameters = parameters.into_iter().map(declare);
    let result = key.result.as_ref().map(|result| {
        let never = never(&with_lifetime(&used.returns.ty, "'_"));
        let output = quote_spanned!(Span::mixed_site()=> __cachesync_output);
        let value = success(used, &output);
        quote_spanned! {Span::mixed_site()=>
            let #output = #never;
            let #result = match #value {
                #private::core::option::Option::Some(__cachesync_value) => __cachesync_value,
                #private::core::option::Option::None => #private::never(),
            };
            _ = &#result;
        }
    });
    let mut evaluation = Evaluation::default();
    let keyed = evaluation.key(&key.part);
    let own = evaluation.then(&quote_spanned!(Span::mixed_site()=> #private::own(#keyed)));
    Some(quote_spanned!(Span::mixed_site()=> #private::key_type(&|| { #(#parameters)* #result #own })))
}

/// Declares the variables of `parameter`, and uses them: the key may only look as if it did.
fn declare(parameter: &Parameter) -> TokenStream {
    let pattern = &parameter.pattern;
    let never = never(&with_lifetime(&parameter.ty, "'_"));
    let uses = parameter.bindings.iter().map(|binding| {
        let ident = &binding.ident;
        let mutable = binding.mutable.then(|| quote_spanned!(Span::mixed_site()=> mut));
        quote_spanned!(Span::mixed_site()=> _ = &#mutable #ident;)
    });
    quote_spanned! {Place::of(&pattern.to_token_stream()).start=>
        let #pattern = #never;
        #(#uses)*
    }
}

/// The type of the value; `None` where a static cannot tell it.
fn value_type(used: &Use) -> Option<TokenStream> {
    let private = private(Span::mixed_site());
    let ty = &used.returns.ty;
    if !Outside::of(&used.function).has_type(ty) {
        return None;
    }
    let returned = returned(used, &with_lifetime(ty, "'static"));
    Some(quote_spanned!(Span::mixed_site()=> #private::value_type(&#returned)))
}
