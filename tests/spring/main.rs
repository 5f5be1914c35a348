//! What Spring's own tests say of its cache annotations, said of these attributes.
//!
//! The table names the test methods of Spring Framework 7.1 in `org.springframework.cache` (of `spring-context`,
//! `spring-context-support`, `spring-aspects` and `integration-tests`) and their counterparts here; for those that have none,
//! it says why. The module [`table`] checks that the table and the tests name each other. Where the behaviour is another
//! one by intention, the remark says so: **Differs**.
//!
//! Spring runs most tests against two services, one with everything in the annotations of its methods, the other with
//! annotations at its class (the tests `class..`). So do the tests here that take a `Fixture`: see [`services`].
//!
//! ## `AbstractCacheAnnotationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `cacheable`, `classCacheCacheable` | `loading::a_second_call_is_answered_from_the_cache` |  |
//! | `cacheableNull`, `nullValue`, `classNullValue` | `loading::a_none_is_remembered_where_the_attribute_says_so` | By default a `None` is not remembered; `cache_none` says that it is |
//! | `cacheableSync`, `cacheableSyncNull` | `loading::calls_at_the_same_time_share_one_body` | Every cached function is `sync` |
//! | `evict`, `classCacheEvict` | `evicting::an_eviction_follows_the_body` |  |
//! | `evictEarly`, `classEvictEarly` | `evicting::an_eviction_before_the_body_happens_whatever_the_body_returns` |  |
//! | `evictWithException`, `classEvictWithException` | `evicting::nothing_is_evicted_on_an_error`, `evicting::a_panic_evicts_since_nobody_knows_what_was_written` | An expected failure is an `Err`; `always` evicts on it too. **Differs**: after a panic, which is a bug, it is evicted |
//! | `evictAll`, `classEvictAll` | `evicting::all_entries_are_evicted` |  |
//! | `evictAllEarly` | `evicting::all_entries_are_evicted_before_the_body_whatever_it_returns` |  |
//! | `evictWithKey`, `classCacheEvictWithWKey` | `evicting::an_eviction_is_by_the_key_and_leaves_the_others` |  |
//! | `evictWithKeyEarly`, `classEvictWithKeyEarly` | `evicting::an_early_eviction_is_by_the_key_and_leaves_the_others` |  |
//! | `conditionalExpression` | `conditions::a_call_whose_condition_is_false_neither_reads_nor_fills` |  |
//! | `conditionalExpressionSync` | `conditions::calls_at_the_same_time_whose_condition_is_false_each_run_a_body` |  |
//! | `unlessExpression`, `classCacheUnlessExpression` | `conditions::a_value_for_which_unless_is_true_is_returned_and_not_kept` |  |
//! | `keyExpression` | `keys::a_key_of_one_argument_leaves_the_others_out` | A Rust expression, checked by the compiler |
//! | `varArgsKey` | `keys::slices_are_keys_by_their_elements` | A slice is what a variadic argument is in Rust |
//! | `methodName`, `classMethodName` | `keys::a_key_can_be_the_name_of_the_function` | No `#root`: what tells two functions apart is written into the key, or they have caches of their own |
//! | `rootVars`, `classRootVars` | `keys::a_key_can_use_the_service_and_what_the_source_can_name` | `#root.target` is `self` |
//! | `customKeyGenerator` | `keys::a_key_can_be_made_by_a_function` |  |
//! | `unknownCustomKeyGenerator` | none | A function that does not exist is a compile error: `tests/ui/key_unknown_name.rs` |
//! | `customCacheManager` | `registries::a_registry_in_the_attribute_comes_before_the_scope` | `registry = ..` |
//! | `unknownCustomCacheManager` | none | What is not a registry is a compile error: `tests/ui/registry_type.rs` |
//! | `nullArg`, `classNullArg` | `loading::an_argument_that_is_none_is_a_key_like_any_other` | There is no null: an `Option` is a key |
//! | `checkedException`, `classCheckedException` | `loading::an_error_reaches_the_caller_and_is_not_kept` | A checked exception is an `Err` |
//! | `checkedExceptionSync`, `classCheckedExceptionSync` | `loading::callers_at_the_same_time_all_see_the_error` |  |
//! | `uncheckedException`, `classUncheckedException` | `loading::a_panic_reaches_the_caller_and_leaves_nothing_behind` | An unchecked exception is a panic |
//! | `uncheckedExceptionSync`, `classUncheckedExceptionSync` | `loading::a_panic_reaches_the_caller_it_belongs_to_and_no_other` |  |
//! | `update`, `classUpdate` | `putting::a_put_runs_the_body_always_and_stores_what_it_returned` |  |
//! | `conditionalUpdate`, `classConditionalUpdate` | `putting::a_put_whose_condition_is_false_is_none` |  |
//! | `multiCache`, `classMultiCache` | `several::a_miss_fills_all_caches_of_the_list`, `several::a_hit_in_a_later_cache_is_not_copied_to_an_earlier`, `several::caches_are_asked_in_their_order_whatever_registry_was_used_before` | **Differs** from what Spring's reference says: that a hit in one cache fills the others. (Its code does not.) It could bring back an overtaken value |
//! | `multiEvict`, `classMultiEvict` | `several::several_keys_of_several_caches_are_evicted` |  |
//! | `multiPut`, `classMultiPut` | `several::a_put_stores_in_all_caches_of_the_list` |  |
//! | `putRefersToResult`, `classPutRefersToResult` | `putting::a_put_finds_its_key_in_the_result` |  |
//! | `putRefersToResultWithUnless`, `classPutRefersToResultWithUnless` | `putting::a_put_refused_by_unless_is_not_kept` | **Differs**: a put with `unless` true evicts the key; Spring keeps the old value |
//! | `putEvaluatesUnlessBeforeKey`, `classPutEvaluatesUnlessBeforeKey` | `putting::a_put_that_returned_nothing_has_no_key_and_stores_nothing` | `unless = "#result == null"` is not needed: `result` is the value, a `None` has none |
//! | `multiCacheAndEvict`, `classMultiCacheAndEvict` | `several::an_eviction_around_a_cached_function_happens_on_hits_too` | An attribute works around those above it |
//! | `multiConditionalCacheAndEvict`, `classMultiConditionalCacheAndEvict` | `several::each_of_several_attributes_has_its_own_condition` |  |
//!
//! ## `AbstractJCacheAnnotationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `cache` | `jsr107::a_result_is_cached_as_what_it_is` |  |
//! | `cacheNull` | `jsr107::that_there_is_nothing_is_cached` | `cache_none` |
//! | `cacheException`, `cacheCheckedException` | `jsr107::an_error_that_is_chosen_is_remembered_and_returned_again`, `jsr107::errors_are_chosen_by_any_expression` | `exceptionCacheName` and `cachedExceptions` are `cache_err`; errors are in the cache of the values |
//! | `cacheExceptionRewriteCallStack` | `jsr107::an_error_that_is_chosen_is_remembered_and_returned_again` | An error is cloned; it has no stack of calls to rewrite |
//! | `cacheExceptionVetoed` | `jsr107::an_error_that_is_not_chosen_is_not_remembered` |  |
//! | `cacheAlwaysInvoke` | `jsr107::a_function_can_fill_without_ever_reading` | `skipGet` is `#[cache_put]` |
//! | `cacheWithPartialKey` | `jsr107::an_argument_that_is_not_in_the_key_makes_no_difference` | `@CacheKey` is `key` or `skip` |
//! | `cacheWithCustomCacheResolver` | `jsr107::a_method_can_name_another_registry_than_its_block` |  |
//! | `cacheWithCustomKeyGenerator` | `keys::a_key_can_be_made_by_a_function` |  |
//! | `put` | `jsr107::a_put_stores_what_is_returned_under_the_key` | `@CacheValue` is what the function returns |
//! | `putWithException`, `putWithExceptionVetoPut` | `jsr107::an_error_puts_nothing_and_evicts_nothing` | **Differs**: there is no `cacheFor`; an `Err` has no value to put |
//! | `earlyPut`, `earlyPutWithException`, `earlyPutWithExceptionVetoPut` | `jsr107::a_put_before_the_body_is_made_by_hand` | **Differs**: the value is there when the body has returned it; `Cache::insert` does it earlier |
//! | `remove` | `jsr107::a_removal_is_of_one_key_and_after_the_body` |  |
//! | `removeWithException` | `jsr107::a_removal_can_be_made_on_errors_too`, `jsr107::a_removal_can_be_made_on_some_errors_and_not_on_others` | `evictFor` and `noEvictFor` are `always`, for all errors, or `cache_value` with `unless`, for some |
//! | `removeWithExceptionVetoRemove` | `jsr107::a_removal_is_otherwise_not_made_on_an_error`, `jsr107::a_removal_can_be_made_on_some_errors_and_not_on_others` |  |
//! | `earlyRemove`, `earlyRemoveWithException`, `earlyRemoveWithExceptionVetoRemove` | `jsr107::a_removal_before_the_body_is_made_whatever_it_returns` | `before` |
//! | `removeAll`, `removeAllWithException`, `removeAllWithExceptionVetoRemove` | `jsr107::a_removal_of_all_follows_the_same_rules`, `jsr107::a_removal_can_be_made_on_some_errors_and_not_on_others` |  |
//! | `earlyRemoveAll`, `earlyRemoveAllWithException`, `earlyRemoveAllWithExceptionVetoRemove` | `jsr107::a_removal_of_all_before_the_body_is_made_whatever_it_returns` |  |
//!
//! ## `CachePutEvaluationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `mutualGetPutExclusion` | `putting::of_a_get_and_a_put_with_opposite_conditions_one_acts` |  |
//! | `getAndPut` | `putting::a_put_around_a_get_stores_what_was_got_and_one_inside_of_it_waits_for_a_miss` | **Differs**: Spring runs the body on each call; here the order of the attributes decides |
//!
//! ## `CacheSyncFailureTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `unlessSync` | `conditions::a_value_for_which_unless_is_true_is_returned_and_not_kept` | Spring refuses these at the first call; here they work |
//! | `severalCachesSync`, `severalCachesWithResolvedSync` | `several::one_load_fills_several_caches_for_all_who_wait` |  |
//! | `syncWithAnotherOperation` | `several::an_eviction_around_a_cached_function_happens_on_hits_too` |  |
//! | `syncWithTwoGetOperations` | `several::two_cached_attributes_of_one_cache_each_have_their_key` |  |
//!
//! ## `CacheErrorHandlerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `getFail`, `getSyncFail`, `getCompletableFutureFail`, `getMonoFail`, `getFluxFail`, `getAndPutFail` | `failures::where_nothing_can_be_cached_bodies_run` | What can fail in a map in memory is a key that cannot travel |
//! | `putFail` | `failures::a_put_that_cannot_be_stored_returns_its_value`, `failures::a_broker_that_does_not_answer_is_no_matter_of_the_writers` |  |
//! | `evictFail`, `clearFail` | `failures::an_eviction_of_a_key_that_cannot_travel_returns_its_value`, `failures::a_broker_that_does_not_answer_is_no_matter_of_the_writers` |  |
//! | `getFailProperException`, `putFailProperException`, `evictFailProperException`, `clearFailProperException` | `failures::a_panic_of_a_key_expression_reaches_the_caller` | **Differs**: no handler makes a failure of the cache the caller's error; only what the attribute's own expressions do is |
//!
//! ## `JCacheErrorHandlerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `getFail`, `getPutNewElementFail` | `failures::where_nothing_can_be_cached_bodies_run` |  |
//! | `getFailPutExceptionFail` | `failures::an_error_that_cannot_be_stored_reaches_the_caller` |  |
//! | `putFail` | `failures::a_put_that_cannot_be_stored_returns_its_value` |  |
//! | `evictFail`, `clearFail` | `failures::an_eviction_of_a_key_that_cannot_travel_returns_its_value` |  |
//!
//! ## `LoggingCacheErrorHandlerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `handleGetCacheErrorLogsAppropriateMessage`, `handlePutCacheErrorLogsAppropriateMessage` | `failures::where_nothing_can_be_cached_bodies_run`, `failures::a_put_that_cannot_be_stored_returns_its_value` | A problem is logged once, and shown by `Registry::status` as long as it lasts |
//! | `handleEvictCacheErrorLogsAppropriateMessage`, `handleClearErrorLogsAppropriateMessage` | `failures::an_eviction_of_a_key_that_cannot_travel_returns_its_value` |  |
//! | `handleGetCacheErrorWithStackTraceLoggingEnabled`, `constructorWithLoggerName` | none | The subscriber of `tracing` decides |
//!
//! ## `CustomInterceptorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `onlyOneInterceptorIsAvailable`, `customInterceptorAppliesWithRuntimeException`, `customInterceptorAppliesWithCheckedException` | none | No interceptors: what is to happen around a function is a function around it |
//!
//! ## `JCacheCustomInterceptorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `onlyOneInterceptorIsAvailable`, `customInterceptorAppliesWithRuntimeException`, `customInterceptorAppliesWithCheckedException` | none | As above |
//!
//! ## `CacheResolverCustomizationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `noCustomization` | `registries::a_call_uses_the_registry_of_its_scope` |  |
//! | `customCacheResolver`, `namedResolution` | `registries::a_cache_of_the_block_is_used_unless_the_method_names_one` |  |
//! | `customCacheManager` | `registries::a_registry_in_the_attribute_comes_before_the_scope` |  |
//! | `runtimeResolution` | `registries::an_argument_chooses_the_cache_by_conditions` | Names of caches are known at start-up; a condition for each chooses among them |
//! | `noCacheResolved` | `registries::a_registry_without_a_cache_that_a_function_names_does_not_start` |  |
//! | `unknownCacheResolver` | none | No resolvers; an attribute without a cache is a compile error: `tests/ui/cache_missing.rs` |
//!
//! ## `CacheOperationExpressionEvaluatorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `multipleCachingSource`, `multipleCachingEval` | `several::two_cached_attributes_of_one_cache_each_have_their_key` | **Differs**: attributes are around each other, so what the inner one finds fills the outer one |
//! | `withReturnValue`, `withNullReturn` | `conditions::an_eviction_sees_what_the_function_returned` | In `#[cache_evict]` an `Option` is seen whole; in the others `result` is the value that would be stored |
//! | `withoutReturnValue` | `keys::a_key_of_one_argument_leaves_the_others_out` | An expression without `result` is evaluated before the body |
//! | `unavailableReturnValue` | none | A compile error: `tests/ui/key_result_in_cacheable.rs`, `tests/ui/key_result_before.rs` |
//! | `resolveBeanReference` | `conditions::a_condition_that_asks_the_service_turns_caching_on` | An expression sees what the function sees |
//!
//! ## `CachedExpressionEvaluatorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `parseNewExpression`, `cacheExpression`, `cacheExpressionBasedOnConcreteType` | none | The compiler compiles the expressions |
//!
//! ## `ExpressionCachingIntegrationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `expressionIsCacheBasedOnActualMethod` | `putting::each_impl_of_a_generic_trait_has_its_own_key` |  |
//!
//! ## `SimpleKeyGeneratorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `noValues` | `keys::calls_without_arguments_share_one_entry` | The key is `()` |
//! | `singleValue` | `keys::the_only_argument_is_the_key_itself` |  |
//! | `multipleValues` | `keys::several_arguments_are_a_key_in_their_order` | A tuple |
//! | `singleNullValue`, `multipleNullValues` | `keys::a_none_is_a_part_of_the_key` |  |
//! | `plainArray` | `keys::slices_are_keys_by_their_elements` |  |
//! | `arrayWithExtraParameter` | `keys::a_slice_beside_other_arguments_is_a_part_of_the_key` |  |
//! | `serializedKeys` | `keys::a_key_that_has_travelled_is_the_same_key` |  |
//!
//! ## `JCacheKeyGeneratorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `getSimple` | `keys::the_only_argument_is_the_key_itself` |  |
//! | `getFlattenVararg` | `keys::a_slice_beside_other_arguments_is_a_part_of_the_key` | A slice stays one part of the key |
//! | `getFiltered` | `jsr107::an_argument_that_is_not_in_the_key_makes_no_difference` |  |
//!
//! ## `EnableCachingTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `keyStrategy`, `cacheErrorHandler` | none | Nothing to configure: keys are expressions, failures are never the caller's |
//! | `singleCacheManagerBean`, `emptyConfigSupport` | `registries::a_call_uses_the_registry_of_its_scope` |  |
//! | `multipleCacheManagerBeans`, `multipleCacheManagerBeans_implementsCachingConfigurer` | `registries::of_several_scopes_the_innermost_is_used` | **Differs**: which of several registries a call uses is never in doubt |
//! | `multipleCachingConfigurers` | none | A second `Registry::install` is an error: `tests/integration/lifecycle.rs` |
//! | `noCacheManagerBeans` | `registries::without_a_registry_functions_run_uncached` | **Differs**: a library may annotate its functions and leave the registry to the application |
//! | `bothSetOnlyResolverIsUsed` | `registries::a_registry_in_the_attribute_comes_before_the_scope` |  |
//! | `mutableKey` | `keys::a_key_is_what_the_arguments_were_before_the_body` |  |
//!
//! ## `EnableCachingIntegrationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `fooServiceWithInterface`, `fooServiceWithInterfaceCglib` | `blocks::a_method_is_cached_behind_any_interface` | No proxies: the function itself is cached |
//! | `cglibProxyClassIsCachedAcrossApplicationContexts`, `repositoryIsClassBasedCacheProxy`, `repositoryUsesAspectJAdviceMode` | none | No proxies |
//! | `barServiceWithCacheableInterfaceCglib` | `blocks::a_method_with_a_body_in_a_trait_is_cached_for_all_who_implement_it` | A trait's method without a body is refused: `tests/ui/no_body.rs` |
//! | `beanConditionOff` | `conditions::a_condition_that_asks_the_service_turns_caching_off` |  |
//! | `beanConditionOn` | `conditions::a_condition_that_asks_the_service_turns_caching_on` |  |
//!
//! ## `CacheProxyFactoryBeanTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `configurationClassWithCacheProxyFactoryBean` | `blocks::a_call_from_within_the_service_is_cached_as_any_other` | No proxies, so calls of `self` are cached |
//!
//! ## `AnnotationCacheOperationSourceTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `singularAnnotation`, `multipleAnnotation`, `caching` | `blocks::each_attribute_of_a_function_is_known_to_the_registry` | `@Caching` is several attributes |
//! | `emptyCaching` | none | No `@Caching`, so none that is empty |
//! | `singularStereotype`, `multipleStereotypes`, `singleComposedAnnotation`, `multipleComposedAnnotations`, `customKeyGeneratorInherited` | `several::a_macro_can_give_functions_their_attributes` | An annotation of annotations is a macro |
//! | `customKeyGenerator` | `keys::a_key_can_be_made_by_a_function` |  |
//! | `keyAndKeyGeneratorCannotBeSetTogether` | none | There is one `key`: `tests/ui/argument_twice.rs`, `tests/ui/skip_with_key.rs` |
//! | `customCacheManager`, `customCacheResolver` | `registries::a_registry_in_the_attribute_comes_before_the_scope` |  |
//! | `customCacheManagerInherited`, `customCacheResolverInherited`, `severalCacheConfigUseClosest`, `partialClassLevelWithNoCustomization` | `blocks::a_block_gives_its_methods_what_they_do_not_say_themselves` |  |
//! | `cacheResolverAndCacheManagerCannotBeSetTogether` | none | There is one `registry`: `tests/ui/argument_twice.rs` |
//! | `fullClassLevelWithCustomCacheName`, `customClassLevelWithCustomCacheName` | `registries::a_cache_of_the_block_is_used_unless_the_method_names_one` |  |
//! | `fullClassLevelWithCustomKeyManager` | none | A block gives no key: each function has its own parameters |
//! | `fullClassLevelWithCustomCacheManager`, `fullClassLevelWithCustomCacheResolver`, `partialClassLevelWithCustomCacheManager`, `partialClassLevelWithCustomCacheResolver` | `jsr107::a_method_can_name_another_registry_than_its_block` |  |
//! | `validateNoCacheIsValid` | none | No resolvers, so a cache must be named: `tests/ui/cache_missing.rs` |
//! | `cacheConfigFromInterface` | `blocks::a_method_with_a_body_in_a_trait_is_cached_for_all_who_implement_it` |  |
//! | `cacheAnnotationOverride` | `blocks::an_impl_that_overrides_a_method_has_its_own_attributes_alone` |  |
//! | `cache`, `put`, `remove`, `removeAll`, `multiAnnotations` | `blocks::each_attribute_of_a_function_is_known_to_the_registry` | These and the following are JSR-107's; it allows one annotation a method, here there may be several |
//! | `cacheWithException` | `jsr107::an_error_that_is_chosen_is_remembered_and_returned_again` |  |
//! | `noAnnotation` | none | A function without attributes is only a function |
//! | `defaultCacheNameWithCandidate`, `defaultCacheNameWithDefaults` | `registries::a_cache_of_the_block_is_used_unless_the_method_names_one` |  |
//! | `defaultCacheNameNoDefaults`, `defaultCacheNameWithParameters` | none | No cache is named after a function; one must be named: `tests/ui/cache_missing.rs` |
//! | `customKeyGeneratorSpringBean`, `customKeyGeneratorAndCacheResolver`, `customKeyGeneratorAndCacheResolverWithExceptionName` | `keys::a_key_can_be_made_by_a_function` |  |
//!
//! ## `CachePutOperationTests`, `CacheRemoveOperationTests`, `CacheRemoveAllOperationTests`, `CacheResultOperationTests`, `AbstractCacheOperationTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `simplePut` | `jsr107::a_put_stores_what_is_returned_under_the_key` |  |
//! | `noCacheValue`, `multiCacheValues` | none | The value is what the function returns, exactly one |
//! | `fullPutConfig` | `jsr107::a_put_before_the_body_is_made_by_hand`, `jsr107::an_error_puts_nothing_and_evicts_nothing` |  |
//! | `simpleRemove` | `jsr107::a_removal_is_of_one_key_and_after_the_body` |  |
//! | `simpleRemoveAll` | `jsr107::a_removal_of_all_follows_the_same_rules` |  |
//! | `simpleGet` | `keys::the_only_argument_is_the_key_itself` |  |
//! | `multiParameterKey` | `keys::several_arguments_are_a_key_in_their_order` |  |
//! | `annotatedGet` | `jsr107::an_argument_that_is_not_in_the_key_makes_no_difference` |  |
//! | `fullGetConfig` | `jsr107::an_error_that_is_not_chosen_is_not_remembered` |  |
//! | `invokeWithWrongParameters`, `tooManyKeyValues` | none | The compiler counts arguments |
//! | `simple` | none | Each attribute is known to the registry, see above |
//!
//! ## `JCacheInterceptorTests`, `JCacheJavaConfigTests`, `JCacheNamespaceDrivenTests`, `CacheResolverAdapterTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `severalCachesNotSupported` | `several::a_miss_fills_all_caches_of_the_list` | Supported here |
//! | `noCacheCouldBeResolved`, `resolveUnknownCache` | `registries::a_registry_without_a_cache_that_a_function_names_does_not_start` |  |
//! | `resolveSimpleCache` | `registries::a_call_uses_the_registry_of_its_scope` |  |
//! | `cacheManagerMandatoryIfCacheResolverNotSet` | `registries::without_a_registry_functions_run_uncached` |  |
//! | `cacheManagerOptionalIfCacheResolversSet` | `registries::a_registry_in_the_attribute_comes_before_the_scope` |  |
//! | `cacheResultReturnsProperType` | `jsr107::a_result_is_cached_as_what_it_is` |  |
//! | `fullCachingConfig`, `emptyConfigSupport`, `bothSetOnlyResolverIsUsed`, `cacheResolver`, `cacheErrorHandler` | none | No beans to configure; see `EnableCachingTests` |
//! | `exceptionCacheResolverLazilyRequired` | none | Errors are in the cache of the values |
//!
//! ## `ReactiveCachingTests`, `CaffeineReactiveCachingTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `cacheHitDetermination` | `futures::every_kind_of_function_is_cached_and_shares_entries_with_the_others`, `futures::nothing_happens_before_the_future_is_polled` |  |
//! | `fluxCacheDoesntDependOnFirstRequest` | `futures::a_list_is_cached_whole_however_much_of_it_is_taken` | A stream is not cached: it can be read once only. A list is |
//! | `cacheErrorHandlerWithSimpleCacheErrorHandler`, `cacheErrorHandlerWithSimpleCacheErrorHandlerAndSync` | none | **Differs**: no failure of a cache is the caller's error |
//! | `cacheErrorHandlerWithLoggingCacheErrorHandler`, `cacheErrorHandlerWithLoggingCacheErrorHandlerAndSync` | `failures::where_nothing_can_be_cached_bodies_run` |  |
//! | `cacheErrorHandlerWithLoggingCacheErrorHandlerAndOperationException` | `futures::the_error_of_a_future_is_the_callers_and_its_body_ran_once` |  |
//! | `cacheErrorHandlerWithLoggingCacheErrorHandlerAndOperationExceptionAndSync` | `futures::the_future_of_an_error_that_is_shared_ran_once_for_its_caller` |  |
//!
//! ## `CacheReproTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `spr11124MultipleAnnotations` | `several::caches_divide_the_values_among_them_by_unless` |  |
//! | `spr11249PrimitiveVarargs` | `keys::a_slice_beside_other_arguments_is_a_part_of_the_key` |  |
//! | `spr11592GetSimple` | `loading::a_second_call_is_answered_from_the_cache` |  |
//! | `spr11592GetNeverCache` | `conditions::a_condition_that_is_never_true_keeps_off_the_cache` |  |
//! | `spr13081ConfigNoCacheNameIsRequired` | `registries::an_argument_chooses_the_cache_by_conditions` |  |
//! | `spr13081ConfigFailIfCacheResolverReturnsNullCacheName` | `registries::a_registry_without_a_cache_that_a_function_names_does_not_start` |  |
//! | `spr14230AdaptsToOptional`, `spr14853AdaptsToOptionalWithSync` | `futures::a_function_that_may_find_nothing_shares_entries_with_one_that_always_returns_something` |  |
//! | `spr14235AdaptsToCompletableFuture`, `spr14235AdaptsToReactorMono` | `futures::what_a_future_resolves_to_is_found_put_and_evicted` | The `condition` on a `#result` is `unless` |
//! | `spr14235AdaptsToCompletableFutureWithSync`, `spr14235AdaptsToReactorMonoWithSync` | `futures::futures_of_one_key_at_the_same_time_resolve_to_one_value` |  |
//! | `spr14235AdaptsToReactorFlux`, `spr14235AdaptsToReactorFluxWithSync` | `futures::a_list_is_found_put_and_refused_as_one_value` |  |
//! | `spr15271FindsOnInterfaceWithInterfaceProxy`, `spr15271FindsOnInterfaceWithCglibProxy` | `blocks::a_method_with_a_body_in_a_trait_is_cached_for_all_who_implement_it` |  |
//!
//! ## `TransactionAwareCacheDecoratorTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `createWithNullTarget`, `getTargetCache` | none | No decorator: every cache knows of transactions |
//! | `regularOperationsOnTarget` | `by_hand::what_was_inserted_is_found_and_replaced` |  |
//! | `putNonTransactional`, `evictNonTransactional`, `evictIfPresentNonTransactional`, `clearNonTransactional`, `invalidateNonTransactional` | `transactions::without_a_transaction_everything_happens_at_once` |  |
//! | `putTransactional` | `transactions::a_put_waits_for_the_commit`, `transactions::a_rollback_discards_evictions_and_puts` |  |
//! | `putIfAbsentNonTransactional` | `by_hand::a_value_is_given_to_an_absent_key_and_not_to_a_present_one` | By a loader |
//! | `putIfAbsentTransactional` | `by_hand::nothing_that_is_loaded_in_a_transaction_is_kept` | **Differs**: Spring fills at once |
//! | `evictTransactional` | `transactions::an_eviction_waits_for_the_commit`, `transactions::inside_of_the_transaction_an_evicted_key_is_read_anew` | **Differs**: inside of the transaction the old value is not read any more |
//! | `clearTransactional` | `transactions::an_eviction_of_all_waits_for_the_commit` |  |
//! | `evictIfPresentTransactional`, `invalidateTransactional` | `transactions::an_eviction_before_the_body_waits_for_the_commit_too` | **Differs**: nothing passes by the transaction |
//!
//! ## `JCacheEhCacheAnnotationTests`, `AbstractTransactionSupportingCacheManagerTests`, `JCacheCacheManagerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `customCacheManager` | `registries::a_registry_in_the_attribute_comes_before_the_scope` |  |
//! | `evictWithTransaction` | `transactions::an_eviction_waits_for_the_commit`, `transactions::inside_of_the_transaction_an_evicted_key_is_read_anew` |  |
//! | `evictAllWithTransaction` | `transactions::an_eviction_of_all_waits_for_the_commit` |  |
//! | `evictEarlyWithTransaction`, `evictAllEarlyWithTransaction` | `transactions::an_eviction_before_the_body_waits_for_the_commit_too` | **Differs**: outside it is visible at the commit, inside at once |
//! | `getOnExistingCache` | `by_hand::a_cache_knows_its_name` |  |
//! | `getOnNewCache` | `registries::a_cache_that_the_registry_does_not_have_can_be_created` |  |
//! | `getOnUnknownCache` | `registries::a_cache_that_the_registry_does_not_have_can_be_bypassed` |  |
//! | `getTransactionalOnExistingCache`, `getTransactionalOnNewCache` | none | No decorator: every cache knows of transactions |
//!
//! ## `AbstractCacheTests`, `AbstractValueAdaptingCacheTests`, `JCacheEhCacheApiTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `cacheName` | `by_hand::a_cache_knows_its_name` |  |
//! | `nativeCache` | none | No third-party cache behind it |
//! | `cachePut` | `by_hand::what_was_inserted_is_found_and_replaced`, `by_hand::a_cache_of_options_tells_an_absent_value_from_an_absent_entry` |  |
//! | `cachePutNullValueAllowNullFalse` | `by_hand::a_cache_of_options_tells_an_absent_value_from_an_absent_entry` | The type says whether a value may be absent |
//! | `cachePutIfAbsent`, `putIfAbsentNullValue` | `by_hand::a_value_is_given_to_an_absent_key_and_not_to_a_present_one` |  |
//! | `cacheRemove` | `by_hand::an_evicted_key_is_gone` |  |
//! | `cacheClear`, `resetCaches` | `by_hand::all_keys_can_be_evicted` |  |
//! | `cacheGetCallable` | `by_hand::a_loader_fills_an_absent_key` |  |
//! | `cacheGetCallableWithNull`, `cacheGetCallableNotInvokedWithHitNull` | `by_hand::a_loader_of_an_absent_value_is_not_run_again` |  |
//! | `cacheGetCallableNotInvokedWithHit` | `by_hand::a_loader_is_not_run_on_a_hit` |  |
//! | `cacheGetCallableFail` | `by_hand::the_error_of_a_loader_is_returned_as_it_is` | As it is: no exception around it |
//! | `cacheGetSynchronized` | `by_hand::loaders_of_one_key_at_the_same_time_are_one`, `loading::calls_at_the_same_time_share_one_body` |  |
//!
//! ## `NoOpCacheManagerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `getCache`, `noOpCache` | `registries::a_cache_that_the_registry_does_not_have_can_be_bypassed` |  |
//! | `cacheName` | `registries::a_cache_that_the_registry_does_not_have_can_be_created` |  |
//! | `cacheCallable` | `by_hand::a_loader_fills_an_absent_key` |  |
//! | `cacheGetCallableFail` | `by_hand::the_error_of_a_loader_is_returned_as_it_is` |  |
//!
//! ## `ConcurrentMapCacheTests`, `ConcurrentMapCacheManagerTests`, `CaffeineCacheTests`, `CaffeineCacheManagerTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `isStoreByReferenceByDefault`, `changeStoreByValue` | `by_hand::an_arc_is_shared_and_any_other_value_is_cloned` | Nobody can change a cached value: there is no need to copy it |
//! | `serializer`, `nonSerializableContent`, `invalidSerializedContent` | none | Values never leave a node and are not serialized |
//! | `dynamicMode`, `setCacheNameNullRestoreDynamicMode` | `registries::a_cache_that_the_registry_does_not_have_can_be_created` |  |
//! | `staticMode` | `registries::a_cache_that_the_registry_does_not_have_can_be_bypassed` |  |
//! | `loadingCacheGet`, `loadingCacheGetWithType` | `by_hand::a_loader_fills_an_absent_key` |  |
//! | `loadingCacheGetWithWrongType` | `jsr107::a_result_is_cached_as_what_it_is` |  |
//! | `putIfAbsentNullValue` | `by_hand::a_value_is_given_to_an_absent_key_and_not_to_a_present_one` |  |
//! | `asyncMode`, `asyncModeWithoutNullValues` | `futures::every_kind_of_function_is_cached_and_shares_entries_with_the_others` |  |
//! | `changeCaffeineRecreateCache`, `changeCaffeineSpecRecreateCache`, `changeCacheSpecificationRecreateCache`, `changeCacheLoaderRecreateCache`, `cacheLoaderUseLoadingCache`, `customCacheRegistration` | none | A registry is configured before it starts |
//!
//! ## `AnnotationNamespaceDrivenTests`, `CacheAdviceNamespaceTests`, `CacheAdviceParserTests`, `AspectJCacheAnnotationTests`, `AspectJEnableCachingTests`, `AspectJEnableCachingIsolatedTests`
//!
//! | Spring's test | here | remark |
//! |---|---|---|
//! | `keyStrategy`, `cacheResolver`, `cacheErrorHandler`, `bothSetOnlyResolverIsUsed`, `keyAndKeyGeneratorCannotBeSetTogether`, `singleCacheManagerBean`, `multipleCacheManagerBeans`, `multipleCacheManagerBeans_implementsCachingConfigurer`, `multipleCachingConfigurers`, `noCacheManagerBeans`, `emptyConfigSupport` | none | No XML and no aspects; the rest of these suites are the tests above |

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
mod table;
mod transactions;

use fixture::{Calls, Entity, Refused};
