//! The statics behind an annotated function, and their entry in the list of all of them.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{LitBool, LitStr, Type, ext::IdentExt};

use super::{
    cache_evict::keys_of,
    keyed::{keyed, of_parameters, of_reference, traits},
    never,
    place::Place,
    private,
    returned::{returned, returned_batch, success},
    typed_cache, with_result,
};
use crate::{
    function::{Function, Parameter},
    model::{Action, Batch, Cache, Element, Entries, Use, key::Key},
    names::Mentions,
    outside::{Outside, with_lifetime},
};

/// Two items. Several attributes on one function each put theirs in a block of its own.
pub(super) fn site(used: &Use) -> TokenStream {
    let private = private(Span::mixed_site());
    let function = LitStr::new(&path(&used.function), Span::mixed_site());
    let flag = |value| LitBool::new(value, Span::mixed_site());
    let explicit_registry = flag(used.registry.is_some());
    let requires_transaction = flag(used.requires_transaction);
    let (role, key, value, tagged) = match &used.action {
        Action::Load { key, policy } => ("Load", key_type(used, key), value_type(used), policy.tags.is_some()),
        Action::LoadMany { batch, policy } => {
            ("Load", key_type_of_batch(used, batch), value_type(used), policy.tags.is_some())
        }
        Action::Put { key, policy } => ("Put", key_type(used, key), value_type(used), policy.tags.is_some()),
        Action::Evict { entries, .. } => match entries {
            Entries::Of(key) => ("EvictKey", key_type(used, key), None, false),
            Entries::OfMany(keys) => ("EvictKeys", key_type_of_many(used, keys), None, false),
            Entries::Tagged(_) => ("EvictTags", None, None, false),
            Entries::All => ("EvictAll", None, None, false),
        },
    };
    let role = Ident::new(role, Span::mixed_site());
    let tagged = flag(tagged);
    let unknown = || quote_spanned!(Span::mixed_site()=> #private::Unknown);
    let (key, value) = (key.unwrap_or_else(unknown), value.unwrap_or_else(unknown));
    let count = proc_macro2::Literal::usize_unsuffixed(used.caches.len());
    let function = quote_spanned! {Span::mixed_site()=>
        #private::FunctionInfo {
            function: #private::core::concat!(#private::core::module_path!(), #function),
            file: #private::core::file!(),
            line: #private::core::line!(),
            role: #private::Role::#role,
            explicit_registry: #explicit_registry,
            tagged: #tagged,
            requires_transaction: #requires_transaction,
            types: #private::known(&|| (#key, #value)),
        }
    };
    let sites = match &used.caches[..] {
        [cache] => {
            let site = call_site(cache, &function);
            quote_spanned!(Span::mixed_site()=> [#site])
        }
        caches => {
            let name = quote_spanned!(Span::mixed_site()=> __CACHESYNC_FUNCTION);
            let sites = caches.iter().map(|cache| call_site(cache, &name));
            quote_spanned! {Span::mixed_site()=> {
                const #name: #private::FunctionInfo = #function;
                [#(#sites),*]
            }}
        }
    };
    quote_spanned! {Span::mixed_site()=>
        static __CACHESYNC_SITES: [#private::CallSite; #count] = #sites;
        #private::register!(__CACHESYNC_SITES);
    }
}

/// What follows the module in the path of a function: its name, and before it the type whose method it is, if that is known.
fn path(function: &Function) -> String {
    let name = function.name().unraw();
    match function.block.as_ref().and_then(|block| block.self_type.as_ref()) {
        Some(Type::Path(ty)) if ty.qself.is_none() => {
            let ty = ty.path.segments.last().map(|last| last.ident.unraw().to_string()).unwrap_or_default();
            format!("::{ty}::{name}")
        }
        _ => format!("::{name}"),
    }
}

/// The call site of one cache, as a constant expression.
fn call_site(cache: &Cache, function: &TokenStream) -> TokenStream {
    match cache {
        Cache::Named(name) => {
            let private = private(Span::mixed_site());
            quote_spanned!(Span::mixed_site()=> #private::CallSite::new(#function, #name))
        }
        Cache::Typed(path) => {
            let at = Place::of(path).start;
            let private = private(at);
            let cache = typed_cache(path);
            quote_spanned!(at=> #private::CallSite::typed(#function, #cache))
        }
    }
}

/// What tells the type of the key, in a closure that is never called; `None` where a static cannot tell it.
fn key_type(used: &Use, key: &Key) -> Option<TokenStream> {
    let outside = Outside::of(&used.function);
    if !outside.has_key(key) {
        return None;
    }
    if let Some(keyed) = of_parameters(used, key, |name| parameter(used, &outside, name)) {
        return Some(key_is(&keyed));
    }
    let variables = variables(used, &outside, &key.mentions)?;
    let result = output(used, &outside, key.result.is_some())?;
    let key_is = keyed(used, key, key_is);
    Some(key_type_of(&variables, &result, key.result.as_ref(), &key_is))
}

/// That of the keys of an iterator.
fn key_type_of_many(used: &Use, keys: &crate::model::Iteration) -> Option<TokenStream> {
    let private = private(Span::mixed_site());
    let outside = Outside::of(&used.function);
    let expression = &keys.expression;
    if !outside.has_expression(&expression.mentions, expression.tied) {
        return None;
    }
    let variables = variables(used, &outside, &expression.mentions)?;
    let result = output(used, &outside, expression.result.is_some())?;
    let keys = keys_of(used, expression, keys.borrowed);
    let key_in = quote_spanned!(Span::mixed_site()=> #private::key_in(&#keys));
    Some(key_type_of(&variables, &result, expression.result.as_ref(), &key_in))
}

/// That of the elements of a list.
fn key_type_of_batch(used: &Use, batch: &Batch) -> Option<TokenStream> {
    let outside = Outside::of(&used.function);
    let item = outside.written(batch.item.as_ref()?)?;
    let item = with_lifetime(&syn::parse_quote!(&'_ #item), "'_");
    let never = never(&item);
    let (pattern, variables, key_is) = match &batch.element {
        Element::Same => {
            let name = Batch::item_name().to_token_stream();
            let traits = traits(used);
            let key_is = key_is(&of_reference(used, &name, Place::of(&batch.list).start));
            (name, TokenStream::new(), quote_spanned!(Span::mixed_site()=> { #traits #key_is }))
        }
        Element::Mapped(mapped) => {
            let (pattern, key) = &**mapped;
            if !outside.has_key(key) {
                return None;
            }
            let variables = variables(used, &outside, &key.mentions)?;
            (pattern.to_token_stream(), variables, keyed(used, key, key_is))
        }
    };
    let item = quote_spanned!(Span::mixed_site()=> let #pattern = #never;);
    Some(key_type_of(&variables, &item, None, &key_is))
}

fn key_is(keyed: &TokenStream) -> TokenStream {
    let private = private(Span::mixed_site());
    quote_spanned!(Span::mixed_site()=> #private::key_is(#keyed))
}

/// `key_is` with the variables that `declarations` and `output` declare.
fn key_type_of(
    declarations: &TokenStream,
    output: &TokenStream,
    result: Option<&Ident>,
    key_is: &TokenStream,
) -> TokenStream {
    let value = quote_spanned!(Span::mixed_site()=> __cachesync_value);
    // A statement, so that temporaries of the key do not outlive the variables.
    let key_is = quote_spanned!(Span::mixed_site()=> let __cachesync_key = #key_is; __cachesync_key);
    let key_is = with_result(result, &value, &key_is);
    quote_spanned!(Span::mixed_site()=> { #declarations #output #key_is })
}

/// The parameter of this name, as a value that is never made. Of two that the compiler alone can tell apart, since a macro has
/// written one of them, it is none.
fn parameter(used: &Use, outside: &Outside<'_>, name: &Ident) -> Option<TokenStream> {
    let is_it = |parameter: &&Parameter| parameter.bindings.iter().any(|binding| binding.ident == *name);
    let mut parameters = used.function.parameters.iter().filter(is_it);
    let (Some(parameter), None) = (parameters.next(), parameters.next()) else { return None };
    if parameter.name().is_none() || parameter.conditional {
        return None;
    }
    Some(never(&with_lifetime(&outside.written(&parameter.ty)?, "'_")))
}

/// Declares the parameters that code with these `mentions` may use; `None` where one cannot be declared.
fn variables(used: &Use, outside: &Outside<'_>, mentions: &Mentions) -> Option<TokenStream> {
    used.function.used_by(mentions).map(|parameter| declare(outside, parameter)).collect()
}

/// Declares the value that `result` refers to, if it is used.
fn output(used: &Use, outside: &Outside<'_>, is_used: bool) -> Option<TokenStream> {
    if !is_used {
        return Some(TokenStream::new());
    }
    let private = private(Span::mixed_site());
    let ty = outside.written(used.output())?;
    let output = quote_spanned!(Span::mixed_site()=> __cachesync_output);
    let (never, value) = if matches!(used.action, Action::Put { .. }) {
        let ty = with_lifetime(&ty, "'static");
        let returned = returned(used, &ty);
        (never(&ty), quote_spanned!(Span::mixed_site()=> #private::look(#returned, &#output)))
    } else {
        (never(&with_lifetime(&ty, "'_")), success(used, &output))
    };
    Some(quote_spanned! {Span::mixed_site()=>
        let #output = #never;
        let __cachesync_value = match #value {
            #private::core::option::Option::Some(__cachesync_value) => __cachesync_value,
            #private::core::option::Option::None => #private::never(),
        };
    })
}

/// Declares the variables of `parameter`, and uses them: the key may only look as if it did.
fn declare(outside: &Outside<'_>, parameter: &Parameter) -> Option<TokenStream> {
    if parameter.conditional {
        return None;
    }
    let pattern = &parameter.pattern;
    let never = never(&with_lifetime(&outside.written(&parameter.ty)?, "'_"));
    let uses = parameter.bindings.iter().map(|binding| {
        let ident = &binding.ident;
        let mutable = binding.mutable.then(|| quote_spanned!(Span::mixed_site()=> mut));
        quote_spanned!(Span::mixed_site()=> _ = &#mutable #ident;)
    });
    Some(quote_spanned! {Place::of(&pattern.to_token_stream()).start=>
        let #pattern = #never;
        #(#uses)*
    })
}

/// The type of the value; `None` where a static cannot tell it.
fn value_type(used: &Use) -> Option<TokenStream> {
    let ty = with_lifetime(&Outside::of(&used.function).written(used.output())?, "'static");
    Some(if matches!(used.action, Action::LoadMany { .. }) {
        let returned = returned_batch(used, &ty);
        let at = Place::of(&ty).start;
        let private = super::private(at);
        quote_spanned!(at=> #private::batch_value_is(#returned))
    } else {
        let returned = returned(used, &ty);
        let private = private(Span::mixed_site());
        quote_spanned!(Span::mixed_site()=> #private::value_is(#returned))
    })
}
