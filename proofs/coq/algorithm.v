(** Item 8: the algorithm of the package returns the prox of the Jaccard loss, for all inputs.

With b background pixels every foreground pixel costs gamma / (P + b), so the best set of any level is known
for every b: [reduced_cost_le]. What remains is a function of b and the level, which pool-adjacent-violators
minimises for all levels at once; the level sets of the result minimise over all sets, hence it is the prox
([prox_of_levels]). The model works in exact arithmetic, over any ordered field, without weights. It takes the
function that finds the value of a pool as an argument, and any function that finds roots will do: a search
through all cases, which shows that the prox exists, or the Newton steps of the package where they end. *)

From mathcomp Require Import all_ssreflect all_algebra ring zify.
From lovasz Require Import definitions extension jaccard prox membership levels pav.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section PoolValue.

Variable R : realFieldType.
Implicit Types (pools : seq (nat * R)) (t : R).

(** The value of the pool that holds rank k. *)
Fixpoint pool_value pools k : R :=
  if pools is (stop, value) :: rest then if (k < stop)%N then value else pool_value rest k else 0.

(** The ranks of value above t are the first ones: [level] counts them. *)
Lemma pool_value_above b pools t k : path ltn b (map fst pools) ->
  sorted (fun u v : R => v <= u) (map snd pools) -> (b <= k < last b (map fst pools))%N ->
  (t < pool_value pools k) = (k < level b pools t)%N.
Proof.
elim: pools b => [|[s v] pools IH] b /=; first by lia.
move=> /andP[bs stops] values /andP[bk k_last]; have ordered := path_sorted values.
have [ks|sk] := ltnP k s.
  have [tv|vt] := ltP t v; last by lia.
  by have := level_between t stops; lia.
have [tv|vt] := ltP t v; first by apply: IH; rewrite // sk.
have -> : (k < b)%N = false by lia.
suff : pool_value pools k <= v by move/le_trans/(_ vt); rewrite leNgt => /negbTE.
have low : all (fun u => u <= v) (map snd pools).
  by move: values; rewrite path_sortedE => [/andP[]|y x z xy yz] //; apply: le_trans xy.
elim: pools s k_last low {IH stops values ordered vt bs} sk => [|[s' v'] pools IH] s /=; first by lia.
by move=> k_last /andP[v'v low] sk; case: ltnP => // s'k; apply: IH s'k.
Qed.

End PoolValue.

Section Algorithm.

Variables (R : realFieldType) (T : finType) (fg : {set T}) (x : T -> R) (gamma : R).
Hypothesis gamma_gt0 : 0 < gamma.
Implicit Types (t : R) (A : {set T}) (b : nat) (root : nat -> nat -> R).

Definition background : seq T := sort (fun i j => x j <= x i) (enum (~: fg)).
Definition foreground : seq R := sort (fun u v : R => v <= u) [seq x i | i <- enum fg].

(** What a foreground pixel costs beside b background pixels; without a foreground the value is not used. *)
Definition cost b : R := if #|fg| == 0%N then 0 else gamma / (#|fg| + b)%:R.

(** The least cost at level t of a set with b background pixels: those with the b largest entries, and the
foreground pixels with entries above t + cost b. *)
Definition reduced_cost t b : R :=
  gamma * (b%:R / (#|fg| + b)%:R) + \sum_(i <- take b background) (t - x i) +
  \sum_(i in fg) Num.min 0 (t + cost b - x i).

(** The algorithm, where [root b b'] is the value of a pool of the background ranks from b to b': pool the
background, then give every foreground pixel its value ([sweep_land]: one sweep does that). *)
Definition prox_by_pools root : T -> R :=
  let pools := pav root #|~: fg| in
  fun i => if i \in fg then land cost 0 pools (x i) else pool_value pools (index i background).

(** ** The best set for a number of background pixels *)

Definition best t b := [set i | if i \in fg then t + cost b < x i else (index i background < b)%N].

Lemma cost_le b b' : (b <= b')%N -> cost b' <= cost b.
Proof.
rewrite /cost; case: eqP => // /eqP; rewrite -lt0n => P_gt0 bb'.
by rewrite ler_pmul2l // lef_pinv ?posrE ?ltr0n ?ler_nat; lia.
Qed.

Lemma jaccard_level_cost A t : let b := #|A :\: fg| in
  level_cost (jaccard R fg) gamma x t A =
  gamma * (b%:R / (#|fg| + b)%:R) + \sum_(i in A :\: fg) (t - x i) + \sum_(i in A :&: fg) (t + cost b - x i).
Proof.
rewrite /= /level_cost jaccard_counts /counts /jaccard_count (big_setID fg) /=.
set b := #|A :\: fg|; rewrite natrD; set n := (#|fg| + b)%:R.
have -> : \sum_(i in A :&: fg) (t + cost b - x i) = \sum_(i in A :&: fg) (t - x i) + #|A :&: fg|%:R * cost b.
  by rewrite mulr_natl -sumr_const -big_split /=; apply: eq_bigr => i _; ring.
have -> : #|A :&: fg|%:R * cost b = gamma * (#|A :&: fg|%:R / n).
  rewrite /cost -/n; case: eqP => [P0|_]; last by rewrite mulrCA.
  have -> : #|A :&: fg| = 0%N by apply/eqP; rewrite -leqn0 -P0 subset_leq_card ?subsetIr.
  by rewrite !mul0r mulr0.
by rewrite mulrDl mulrDr [X in X + _]addrC [X in _ + X]addrC addrACA [X in _ + X]addrC.
Qed.

Lemma size_background : size background = #|~: fg|.
Proof. by rewrite size_sort cardE. Qed.

Lemma background_uniq : uniq background.
Proof. by rewrite sort_uniq enum_uniq. Qed.

Lemma mem_background i : (i \in background) = (i \notin fg).
Proof. by rewrite mem_sort mem_enum inE. Qed.

Lemma sum_background_le A t :
  \sum_(i <- take #|A :\: fg| background) (t - x i) <= \sum_(i in A :\: fg) (t - x i).
Proof.
have subset_bg : A :\: fg \subset ~: fg by rewrite setDE subsetIr.
have := mass_le_take x subset_bg; rewrite sort_map -map_take big_map -/background => largest.
have constant (s : seq T) : \sum_(i <- s) (t - x i) = (size s)%:R * t - \sum_(i <- s) x i.
  by rewrite sumrB big_const_seq count_predT iter_addr_0 mulr_natl.
rewrite -[leRHS]big_enum !constant size_takel ?size_background ?subset_leq_card //.
by rewrite -cardE big_enum /= ler_add2l ler_opp2.
Qed.

Lemma sum_foreground_le A t c :
  \sum_(i in fg) Num.min 0 (t + c - x i) <= \sum_(i in A :&: fg) (t + c - x i).
Proof.
rewrite (big_setID A) /= setIC; apply: le_trans (_ : \sum_(i in A :&: fg) Num.min 0 (t + c - x i) <= _).
  by rewrite ler_naddr // -oppr_ge0 -sumrN sumr_ge0 // => i _; rewrite oppr_ge0 le_minl lexx.
by apply: ler_sum => i _; rewrite le_minl lexx orbT.
Qed.

Lemma sum_foreground_best t b :
  \sum_(i in best t b :&: fg) (t + cost b - x i) = \sum_(i in fg) Num.min 0 (t + cost b - x i).
Proof.
rewrite [RHS](big_setID (best t b)) /= setIC [X in _ = _ + X]big1 ?addr0 => [|i].
  by apply: eq_bigr => i; rewrite !inE => /andP[->] tx; rewrite min_r // subr_le0 ltW.
by rewrite !inE => /andP[+ i_fg]; rewrite i_fg -leNgt => xt; rewrite min_l // subr_ge0.
Qed.

Lemma reduced_cost_le t A : reduced_cost t #|A :\: fg| <= level_cost (jaccard R fg) gamma x t A.
Proof.
rewrite jaccard_level_cost /reduced_cost; apply: ler_add (sum_foreground_le _ _ _).
by rewrite ler_add2l sum_background_le.
Qed.

Lemma best_background t b : best t b :\: fg = [set i in take b background].
Proof.
apply/setP => i; rewrite !inE; case: ifP => i_fg /=; last by rewrite in_take // mem_background i_fg.
by apply/esym/negP => /mem_take; rewrite mem_background i_fg.
Qed.

Lemma card_best_background t b : (b <= #|~: fg|)%N -> #|best t b :\: fg| = b.
Proof.
move=> bn; rewrite best_background cardsE (card_uniqP _) ?take_uniq ?background_uniq //.
by rewrite size_takel // size_background.
Qed.

Lemma level_cost_best t b : (b <= #|~: fg|)%N ->
  level_cost (jaccard R fg) gamma x t (best t b) = reduced_cost t b.
Proof.
move=> bn; rewrite jaccard_level_cost /reduced_cost card_best_background //.
rewrite sum_foreground_best best_background; congr (_ + _ + _).
by rewrite big_uniq ?take_uniq ?background_uniq //; apply: eq_bigl => i; rewrite inE.
Qed.

(** ** The roots *)

(** The background part of a pool, without the term in t. *)
Definition pool_offset b b' : R :=
  gamma * (b'%:R / (#|fg| + b')%:R - b%:R / (#|fg| + b)%:R) -
  \sum_(i <- take (b' - b) (drop b background)) x i.

(** The function whose root is the value of the pool of the background ranks from b to b'. *)
Definition increment b b' : R -> R :=
  pool_function foreground (cost b) (cost b') (pool_offset b b') (b' - b)%:R.

Lemma incrementE t b b' : (b <= b')%N -> (b' <= #|~: fg|)%N ->
  reduced_cost t b' - reduced_cost t b = increment b b' t.
Proof.
move=> bb' b'n; rewrite /reduced_cost /increment /pool_function /pool_offset.
rewrite [\sum_(v <- foreground) _]sumrB.
have fg_sum c : \sum_(v <- foreground) Num.min 0 (t + c - v) = \sum_(i in fg) Num.min 0 (t + c - x i).
  rewrite (perm_big [seq x i | i <- enum fg]) /=; last by rewrite perm_sort.
  by rewrite big_map big_enum.
have -> : take b' background = take b background ++ take (b' - b) (drop b background).
  by rewrite -takeD subnKC.
rewrite !fg_sum big_cat /=; set pool := take _ (drop _ _).
have -> : \sum_(i <- pool) (t - x i) = (b' - b)%:R * t - \sum_(i <- pool) x i.
  rewrite sumrB big_const_seq count_predT iter_addr_0 size_takel ?mulr_natl //.
  by rewrite size_drop size_background leq_sub2r.
move: (\sum_(i <- pool) _) (\sum_(i <- take b _) _) => of_pool of_others.
move: (\sum_(i in fg) _) (\sum_(i in fg) _) => after before; ring.
Qed.

Lemma foreground_sorted : sorted (fun u v : R => v <= u) foreground.
Proof. by apply: sort_sorted => u v; apply: le_total. Qed.

Lemma reduced_cost_increasing b b' t t' : (b < b')%N -> (b' <= #|~: fg|)%N -> t < t' ->
  reduced_cost t b' - reduced_cost t b < reduced_cost t' b' - reduced_cost t' b.
Proof.
move=> bb' b'n tt'; rewrite !incrementE ?(ltnW bb') //; apply: pool_function_increasing => //.
  by rewrite ltr0n subn_gt0.
exact/cost_le/ltnW.
Qed.

(** ** The algorithm is right *)

Lemma prox_by_pools_levels root t :
  [set i | t < prox_by_pools root i] = best t (level 0 (pav root #|~: fg|) t).
Proof.
have [stops ends] := pav_stops root #|~: fg|; have values := pav_values root #|~: fg|.
apply/setP => i; rewrite !inE /prox_by_pools; case: ifPn => i_fg.
  by rewrite land_above //; apply: cost_le.
by apply: pool_value_above; rewrite // ends -size_background index_mem mem_background.
Qed.

(** Whatever function finds the roots, the algorithm returns the prox. *)
Theorem prox_by_pools_is_prox root :
  (forall b b', (b < b')%N -> (b' <= #|~: fg|)%N -> increment b b' (root b b') = 0) ->
  is_prox (lovasz (jaccard R fg)) gamma x (prox_by_pools root).
Proof.
move=> root_spec; apply: prox_of_levels => // [||t A].
- exact: jaccard_normalised.
- exact: jaccard_submodular.
have [stops ends] := pav_stops root #|~: fg|; have := level_between t stops; rewrite ends => level_le.
rewrite prox_by_pools_levels level_cost_best //; apply: le_trans (reduced_cost_le t A).
apply: pav_minimises => [|b b' bb' b'n|]; first exact: reduced_cost_increasing.
  by apply/eqP; rewrite -subr_eq0 incrementE ?(ltnW bb') // root_spec.
by apply: subset_leq_card; rewrite setDE subsetIr.
Qed.

(** The algorithm, with a search for roots that always ends. *)
Definition exact_root b b' : R :=
  pool_root foreground (cost b) (cost b') (pool_offset b b') (b' - b)%:R.

Definition algorithm : T -> R := prox_by_pools exact_root.

(** For every foreground, every x and every positive step it returns the prox. *)
Theorem algorithm_is_prox : is_prox (lovasz (jaccard R fg)) gamma x algorithm.
Proof.
apply: prox_by_pools_is_prox => b b' bb' b'n; apply: pool_rootP.
- by rewrite ltr0n subn_gt0.
- exact/cost_le/ltnW.
- exact: foreground_sorted.
Qed.

(** ** Newton's search *)

(** The increment of the Jaccard loss in closed form, without a difference: fg_mass foreground and bg_mass
background pixels join fg0 and bg0. *)
Definition jaccard_increment (fg0 fg_mass bg0 bg_mass : nat) : R :=
  if #|fg| == 0%N then ((bg0 == 0%N) && (0 < bg_mass)%N)%:R
  else fg_mass%:R / (#|fg| + bg0 + bg_mass)%:R +
       (#|fg| - fg0)%:R / (#|fg| + bg0)%:R * (bg_mass%:R / (#|fg| + bg0 + bg_mass)%:R).

Lemma jaccard_incrementE fg0 fg_mass bg0 bg_mass : (fg0 + fg_mass <= #|fg|)%N -> (0 < bg_mass)%N ->
  jaccard_increment fg0 fg_mass bg0 bg_mass =
  jaccard_count R #|fg| (fg0 + fg_mass) (bg0 + bg_mass) - jaccard_count R #|fg| fg0 bg0.
Proof.
rewrite /jaccard_increment /jaccard_count addnA => fg_le bg_gt0; case: eqP => [P0|/eqP P_neq0].
  have [-> ->] : fg0 = 0%N /\ fg_mass = 0%N by lia.
  rewrite P0 !add0n bg_gt0 andbT divff ?pnatr_eq0; last by lia.
  by case: bg0 => [|bg0]; rewrite ?mul0r ?subr0 // divff ?subrr ?pnatr_eq0.
have fg0_le : (fg0 <= #|fg|)%N by lia.
have before_neq0 : (#|fg| + bg0)%:R != 0 :> R by rewrite pnatr_eq0; lia.
have after_neq0 : (#|fg| + bg0 + bg_mass)%:R != 0 :> R by rewrite pnatr_eq0; lia.
move: before_neq0 after_neq0; rewrite natrB // !natrD => before_neq0 after_neq0.
by field; rewrite addrA before_neq0.
Qed.

(** Newton's step for the pool of the background ranks from b to b', where the foreground ranks from k0 to k1
lie in the pool: the mean of its entries, less gamma times the increment over their number. *)
Definition pool_mean b b' k0 k1 : R :=
  (\sum_(i <- take (b' - b) (drop b background)) x i + \sum_(v <- take (k1 - k0) (drop k0 foreground)) v -
   gamma * jaccard_increment k0 (k1 - k0) b (b' - b)) / ((b' - b) + (k1 - k0))%:R.

Lemma size_foreground : size foreground = #|fg|.
Proof. by rewrite size_sort size_map cardE. Qed.

Lemma linear_root_mean b b' k0 k1 : (b < b')%N -> (k0 <= k1)%N -> (k1 <= #|fg|)%N ->
  linear_root foreground (cost b) (cost b') (pool_offset b b') (b' - b)%:R k0 k1 = pool_mean b b' k0 k1.
Proof.
move=> bb' k01 k1P; rewrite /linear_root /pool_mean jaccard_incrementE ?subnKC ?subn_gt0 //; last exact: ltnW.
have -> : ((b' - b) + (k1 - k0))%:R = (b' - b)%:R + k1%:R - k0%:R :> R.
  by rewrite natrD (natrB _ k01) addrA.
rewrite /pool_offset /jaccard_count; congr (_ / _).
have -> : take k1 foreground = take k0 foreground ++ take (k1 - k0) (drop k0 foreground).
  by rewrite -takeD subnKC.
have share k c : (k <= #|fg|)%N -> k%:R * cost c = gamma * (k%:R / (#|fg| + c)%:R).
  rewrite /cost; case: eqP => [-> |_ _]; last by rewrite mulrCA.
  by rewrite leqn0 => /eqP ->; rewrite !mul0r mulr0.
rewrite big_cat /= !share ?(leq_trans k01) // !natrD !(mulrDl _ _ _^-1).
move: (\sum_(v <- _) v) (\sum_(v <- take k0 _) v) (\sum_(i <- _) x i) => of_fg before of_bg; ring.
Qed.

Lemma newton_mean b b' t : (b < b')%N ->
  newton foreground (cost b) (cost b') (pool_offset b b') (b' - b)%:R t =
  pool_mean b b' (above foreground (t + cost b)) (above foreground (t + cost b')).
Proof.
move=> bb'; apply: linear_root_mean => //; first by rewrite above_le // ler_add2l cost_le // ltnW.
by rewrite -size_foreground count_size.
Qed.

(** The value of a pool in terms of its members alone. *)
Theorem pool_value_formula b b' t : (b < b')%N -> increment b b' t = 0 ->
  t = pool_mean b b' (above foreground (t + cost b)) (above foreground (t + cost b')).
Proof.
move=> bb' root_t; rewrite -newton_mean //; apply/esym/newton_root => //.
- by rewrite ltr0n subn_gt0.
- exact/cost_le/ltnW.
- exact: foreground_sorted.
Qed.

(** One step from t tells if the value v of the pool exceeds t: two pools may be merged before v is known. *)
Theorem pool_value_exceeds b b' v t : (b < b')%N -> increment b b' v = 0 ->
  (t < v) = (t < pool_mean b b' (above foreground (t + cost b)) (above foreground (t + cost b'))).
Proof.
move=> bb' root_v; have mass_gt0 : (0 : R) < (b' - b)%:R by rewrite ltr0n subn_gt0.
have cost_bb' := cost_le (ltnW bb'); rewrite -newton_mean // newton_side ?foreground_sorted //.
have rises := pool_function_increasing foreground (pool_offset b b') mass_gt0 cost_bb'.
rewrite -root_v; have [/rises->//|] := ltP t v; rewrite le_eqVlt => /predU1P[->|/rises up].
  by rewrite ltxx.
by rewrite ltNge (ltW up).
Qed.

(** The algorithm with Newton's search: where it ends for all pools, from whatever start and bracket, and
wherever else it looks. *)
Theorem newton_is_prox root :
  (forall b b', (b < b')%N -> (b' <= #|~: fg|)%N -> exists elsewhere steps floor ceiling t,
     newton_search elsewhere foreground (cost b) (cost b') (pool_offset b b') (b' - b)%:R
       steps floor ceiling t = Some (root b b')) ->
  is_prox (lovasz (jaccard R fg)) gamma x (prox_by_pools root).
Proof.
move=> found; apply: prox_by_pools_is_prox => b b' bb' b'n.
have [elsewhere [steps [floor [ceiling [t search]]]]] := found b b' bb' b'n; apply: newton_search_root search.
- by rewrite ltr0n subn_gt0.
- exact/cost_le/ltnW.
- exact: foreground_sorted.
Qed.

End Algorithm.

Section Existence.

Variables (R : realFieldType) (T : finType).
Implicit Types (fg : {set T}) (x z : T -> R) (gamma : R).

(** The prox exists over every ordered field; [prox_unique] says that there is no other. *)
Corollary prox_exists fg x gamma : 0 < gamma -> exists z, is_prox (lovasz (jaccard R fg)) gamma x z.
Proof. by move=> gamma_gt0; exists (algorithm fg x gamma); apply: algorithm_is_prox. Qed.

(** z is the prox exactly if its residual is in the base polytope and attains the extension at z. *)
Corollary prox_characterised fg x z gamma : 0 < gamma -> let w := residual gamma x z in
  is_prox (lovasz (jaccard R fg)) gamma x z <->
  in_base (jaccard R fg) w /\ dot w z = lovasz (jaccard R fg) z.
Proof.
move=> gamma_gt0 w; have norm := @jaccard_normalised R T fg; split=> [prox_z|[base tight]].
  exact: prox_certificate gamma_gt0 norm (@jaccard_submodular R T fg) (fun u => proj1 (prox_z u)).
exact: prox_of_certificate.
Qed.

End Existence.
