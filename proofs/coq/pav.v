(** Item 8: generalised pool-adjacent-violators.

The prox of the Jaccard loss minimises, at every level t, a function h t of the number of background pixels
above t. The increments of h t grow with t; so one non-increasing sequence of values has level sets that
minimise h t for all t at once, and pooling adjacent violators finds it: [pav_minimises], [pav_unique]. Given
the pools, every foreground entry has a closed-form value, [land_above], and one sweep finds them all,
[sweep_land]. The value of a pool is the root of an increasing piecewise linear function: [pool_root] finds it
by trying all pieces, and [newton_search] is a quicker search, whose answers are right by
[newton_search_root]. *)

From mathcomp Require Import all_ssreflect all_algebra ring zify.
From lovasz Require Import definitions.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Pools.

Variable R : realFieldType.
Implicit Types (pools stack : seq (nat * R)) (t v : R).

(** A pool is its stop and its value: it holds the ranks from the stop of the pool before it (0 for the first)
to its own. [level b pools t] is the number of ranks whose value exceeds t, in pools that start at b. *)
Fixpoint level b pools t : nat :=
  if pools is (stop, value) :: rest then if t < value then level stop rest t else b else b.

Lemma level_between b pools t : path ltn b (map fst pools) ->
  (b <= level b pools t <= last b (map fst pools))%N.
Proof.
elim: pools b => [|[s v] pools IH] b /=; first by rewrite leqnn.
case/andP=> /ltnW bs /IH /andP[ge le]; case: ifP => _; first by rewrite (leq_trans bs).
by rewrite leqnn (leq_trans bs) // (leq_trans ge).
Qed.

Variables (h : R -> nat -> R) (root : nat -> nat -> R).

(** The pools so far are a stack, the latest first. A new pool merges with those below it as long as they have
a smaller value; [root start stop] is the value of a merged pool. Pools with equal values stay apart. *)
Definition end_of stack : nat := if stack is (stop, _) :: _ then stop else 0%N.

Fixpoint push stop (value : R) stack : seq (nat * R) :=
  if stack is (_, below) :: rest
  then if below < value then push stop (root (end_of rest) stop) rest else (stop, value) :: stack
  else [:: (stop, value)].

Fixpoint pav_stack n : seq (nat * R) :=
  if n is k.+1 then push k.+1 (root k k.+1) (pav_stack k) else [::].

Definition pav n : seq (nat * R) := rev (pav_stack n).

(** Every pool has ranks, and the last one ends at n. *)
Lemma end_of_push stop value stack : end_of (push stop value stack) = stop.
Proof. by elim: stack value => [|[s v] stack IH] value //=; case: ifP => // _; apply: IH. Qed.

Lemma end_of_pav n : end_of (pav_stack n) = n.
Proof. by case: n => // n; apply: end_of_push. Qed.

Lemma push_stops stop value stack : path gtn stop (rcons (map fst stack) 0%N) ->
  path gtn stop.+1 (rcons (map fst (push stop value stack)) 0%N).
Proof.
elim: stack value => [|[s v] stack IH] value /= ordered; first by rewrite leqnn.
case: ifP => _ /=; last by rewrite leqnn.
case/andP: ordered => s_stop ordered; apply: IH.
by apply: (@path_le _ gtn _ _ s) => // x y z /=; lia.
Qed.

Lemma pav_stops n : path ltn 0%N (map fst (pav n)) /\ last 0%N (map fst (pav n)) = n.
Proof.
have ordered : path gtn n.+1 (rcons (map fst (pav_stack n)) 0%N).
  by elim: n => // n IH; apply: push_stops.
split.
  have /path_sorted := ordered.
  by rewrite -rev_sorted rev_rcons -map_rev.
rewrite -[RHS](end_of_pav n) /pav map_rev.
by case: (pav_stack n) => [|[s v] stack] //=; rewrite rev_cons last_rcons.
Qed.

(** The values do not increase. *)
Lemma push_values stop value stack : sorted <=%R (map snd stack) ->
  sorted <=%R (map snd (push stop value stack)).
Proof.
elim: stack stop value => [|[s v] stack IH] stop value //= ordered.
by case: ifPn => [_|]; [apply/IH/path_sorted/ordered|rewrite -leNgt /= ordered => ->].
Qed.

Lemma pav_values n : sorted (fun u v : R => v <= u) (map snd (pav n)).
Proof.
rewrite /pav map_rev rev_sorted.
by elim: n => //= n IH; apply: push_values.
Qed.

Variable n : nat.

(** The cost of one more rank grows with t. *)
Hypothesis h_increasing : forall b b' t t', (b < b')%N -> (b' <= n)%N -> t < t' ->
  h t b' - h t b < h t' b' - h t' b.
Hypothesis root_spec : forall b b', (b < b')%N -> (b' <= n)%N -> h (root b b') b' = h (root b b') b.

Lemma h_nondecreasing b b' t t' : (b <= b')%N -> (b' <= n)%N -> t <= t' ->
  h t b' - h t b <= h t' b' - h t' b.
Proof.
rewrite leq_eqVlt => /predU1P[->|bb'] b'n; first by rewrite !subrr.
by rewrite le_eqVlt => /predU1P[->//|tt']; apply/ltW/h_increasing.
Qed.

(** At its own value a pool may end at its start as well as at its stop, and nowhere better in between. *)
Definition balanced start stop v :=
  h v stop = h v start /\ forall b, (start <= b <= stop)%N -> h v start <= h v b.

Lemma single_balanced k : (k < n)%N -> balanced k k.+1 (root k k.+1).
Proof.
move=> kn; split=> [|b kb]; first exact: root_spec.
have [->|->] // : b = k \/ b = k.+1 by lia.
by rewrite root_spec.
Qed.

(** The value of two merged pools lies between theirs. *)
Lemma merged_value b0 b1 b2 v1 v2 : (b0 < b1)%N -> (b1 < b2)%N -> (b2 <= n)%N ->
  h v1 b1 = h v1 b0 -> h v2 b2 = h v2 b1 -> v1 < v2 -> v1 <= root b0 b2 <= v2.
Proof.
move=> b01 b12 b2n balance1 balance2 v12; have b02 := ltn_trans b01 b12.
have balance := root_spec b02 b2n; set v := root b0 b2 in balance *.
have step t : h t b2 - h t b0 = (h t b2 - h t b1) + (h t b1 - h t b0) by ring.
have := h_increasing b12 b2n v12; have := h_increasing b01 (leq_trans (ltnW b12) b2n) v12.
rewrite balance1 balance2 !subrr => positive negative.
apply/andP; split; rewrite leNgt; apply/negP => outside; have := h_increasing b02 b2n outside.
  by rewrite balance subrr step balance1 subrr addr0 ltNge ltW.
by rewrite balance subrr step balance2 subrr add0r ltNge ltW.
Qed.

Lemma merged_balanced b0 b1 b2 v1 v2 : (b0 < b1)%N -> (b1 < b2)%N -> (b2 <= n)%N -> v1 < v2 ->
  balanced b0 b1 v1 -> balanced b1 b2 v2 -> balanced b0 b2 (root b0 b2).
Proof.
move=> b01 b12 b2n v12 [balance1 low1] [balance2 low2].
have balance := root_spec (ltn_trans b01 b12) b2n.
have /andP[] := merged_value b01 b12 b2n balance1 balance2 v12.
set v := root b0 b2 in balance * => v1v vv2; split=> // b /andP[b0b bb2].
have [bb1|b1b] := leqP b b1.
  have grows := h_nondecreasing b0b (leq_trans bb2 b2n) v1v.
  by apply: le_by2 grows (low1 b _) _; [rewrite b0b|ring].
have := h_nondecreasing bb2 b2n vv2; rewrite -balance balance2 => grows.
by apply: le_by2 grows (low2 b _) _; [rewrite (ltnW b1b)|ring].
Qed.

(** All pools of a stack are balanced; [balanced_from b pools] says the same of pools in order, from b on. *)
Fixpoint balanced_stack stack : Prop :=
  if stack is (stop, v) :: rest
  then [/\ (end_of rest < stop)%N, balanced (end_of rest) stop v & balanced_stack rest] else True.

Lemma push_balanced stop v stack : (end_of stack < stop)%N -> (stop <= n)%N ->
  balanced (end_of stack) stop v -> balanced_stack stack -> balanced_stack (push stop v stack).
Proof.
elim: stack v => [|[s u] stack IH] v //= s_stop stop_n balance_v [start_s balance_u balance_stack].
case: ifP => // u_v; apply: IH => //; first exact: ltn_trans s_stop.
exact: (merged_balanced start_s s_stop stop_n u_v).
Qed.

Lemma pav_balanced k : (k <= n)%N -> balanced_stack (pav_stack k).
Proof.
elim: k => //= k IH kn.
by apply: push_balanced; rewrite ?end_of_pav //; [apply: single_balanced|apply/IH/ltnW].
Qed.

Fixpoint balanced_from b pools : Prop :=
  if pools is (stop, v) :: rest then [/\ (b < stop)%N, balanced b stop v & balanced_from stop rest] else True.

Lemma balanced_rev stack pools : balanced_stack stack -> balanced_from (end_of stack) pools ->
  balanced_from 0 (catrev stack pools).
Proof.
elim: stack pools => [|[s v] stack IH] pools //= [start_s balance_v balance_stack] balance_pools.
exact: IH.
Qed.

Lemma balanced_from_le b pools : balanced_from b pools -> (b <= last b (map fst pools))%N.
Proof.
by elim: pools b => [|[s v] pools IH] b //= [/ltnW bs _ /IH]; apply: leq_trans.
Qed.

(** At t, pools of value at most t are better left out. *)
Lemma low_pools b pools t b' : balanced_from b pools -> last b (map fst pools) = n ->
  all (fun v => v <= t) (map snd pools) -> (b <= b' <= n)%N -> h t b <= h t b'.
Proof.
elim: pools b => [|[s v] pools IH] b /=; first by move=> _ -> _ bb'; rewrite (_ : b' = n) //; lia.
move=> [bs [_ low_v] balance] ends /andP[vt low] /andP[bb' b'n].
have sn : (s <= n)%N by rewrite -ends; apply: balanced_from_le balance.
have early c : (b <= c <= s)%N -> h t b <= h t c.
  case/andP=> bc cs; have grows := h_nondecreasing bc (leq_trans cs sn) vt.
  by apply: le_by2 grows (low_v c _) _; [rewrite bc|ring].
have [b's|/ltnW sb'] := leqP b' s; first by apply: early; rewrite bb'.
by apply: le_trans (early s _) (IH s balance ends low _); rewrite ?leqnn ?(ltnW bs) ?sb'.
Qed.

(** No number of ranks is better at t than that of the pools of value above t. *)
Lemma balanced_minimises b pools t b' : balanced_from b pools -> last b (map fst pools) = n ->
  sorted (fun u v : R => v <= u) (map snd pools) -> (b <= b' <= n)%N -> h t (level b pools t) <= h t b'.
Proof.
elim: pools b b' => [|[s v] pools IH] b b' /=.
  by move=> _ -> _ bb'; rewrite (_ : b' = n) //; lia.
move=> balance_all ends; rewrite path_sortedE => [/andP[low ordered]|x y z yx zy]; last exact: le_trans zy yx.
move=> bb'n; have [vt|tv] := leP v t.
  apply: (@low_pools b ((s, v) :: pools)) => //=; rewrite vt.
  by apply: sub_all low => u uv; apply: le_trans vt.
case: balance_all => bs [balance_v low_v] balance; have sn := balanced_from_le balance.
rewrite ends in sn; have /andP[bb' b'n] := bb'n; have [sb'|/ltnW b's] := leqP s b'.
  by apply: IH; rewrite ?sb'.
apply: le_trans (IH s s balance ends ordered _) _; first by rewrite leqnn.
have := h_nondecreasing b's sn (ltW tv); rewrite balance_v => grows.
by apply: le_by2 grows (low_v b' _) _; [rewrite bb'|ring].
Qed.

(** At every t, no number of ranks is better than the number of those whose value exceeds t. *)
Theorem pav_minimises t b : (b <= n)%N -> h t (level 0%N (pav n) t) <= h t b.
Proof.
move=> bn; have [ordered ends] := pav_stops n.
apply: balanced_minimises => //; last exact: pav_values.
by apply: balanced_rev (pav_balanced (leqnn n)) _.
Qed.

(** Levels are constant a little to the right of every t. *)
Lemma level_right b pools t :
  exists2 t', t < t' & forall s, t <= s -> s < t' -> level b pools s = level b pools t.
Proof.
have tt1 : t < t + 1 by rewrite ltr_addl ltr01.
elim: pools b => [|[u v] pools IH] b /=; first by exists (t + 1).
have [tv|vt] := ltP t v; last by exists (t + 1) => // s ts _; rewrite ltNge (le_trans vt ts).
have [t' tt' same] := IH u; exists (Num.min t' v) => [|s ts]; first by rewrite lt_minr tt'.
by rewrite lt_minr => /andP[st' ->]; apply: same.
Qed.

(** The values are determined: pools of n ranks whose levels minimise have the levels of [pav n]. *)
Theorem pav_unique pools : path ltn 0%N (map fst pools) -> last 0%N (map fst pools) = n ->
  (forall t b, (b <= n)%N -> h t (level 0 pools t) <= h t b) ->
  forall t, level 0 pools t = level 0 (pav n) t.
Proof.
move=> stops ends minimises t; set l := level _ _ _; set l' := level _ _ _.
have ln : (l <= n)%N by have /andP[_] := level_between t stops; rewrite ends.
have l'n : (l' <= n)%N.
  by have [stops' ends'] := pav_stops n; have /andP[_] := level_between t stops'; rewrite ends'.
have [t1 tt1 right1] := level_right 0 pools t; have [t2 tt2 right2] := level_right 0 (pav n) t.
have /midf_lt[] : t < Num.min t1 t2 by rewrite lt_minr tt1.
set u := _ / _ => tu; rewrite lt_minr => /andP[ut1 ut2].
have same : h t l = h t l' by apply: le_anti; rewrite minimises // pav_minimises.
have same_u : h u l = h u l'.
  have := minimises u l' l'n; have := pav_minimises u ln.
  by rewrite right1 ?right2 ?(ltW tu) // => ge le; apply: le_anti; rewrite le ge.
have [ll'|l'l|//] := ltngtP l l'.
  by have := h_increasing ll' l'n tu; rewrite same same_u !subrr ltxx.
by have := h_increasing l'l ln tu; rewrite same same_u !subrr ltxx.
Qed.

End Pools.

Section Foreground.

Variable R : realFieldType.
Implicit Types (pools : seq (nat * R)).

(** What a foreground pixel costs when b background pixels are mistaken. *)
Variable cost : nat -> R.

(** The value of a foreground entry x, sup {t : t + cost (level b pools t) < x}: it lies above the first pool,
takes the value of that pool, or lies below it. *)
Fixpoint land b pools (x : R) : R :=
  if pools is (stop, value) :: rest
  then if value < x - cost b then x - cost b else if value <= x - cost stop then value else land stop rest x
  else x - cost b.

Lemma level_low b pools t : all (fun v => v <= t) (map snd pools) -> level b pools t = b.
Proof. by case: pools => [|[s v] pools] //= /andP[vt _]; rewrite ltNge vt. Qed.

(** The value of an entry exceeds t iff at level t it is worth its cost. *)
Theorem land_above b pools x t :
  path ltn b (map fst pools) -> sorted (fun u v : R => v <= u) (map snd pools) ->
  (forall i j, (i <= j)%N -> cost j <= cost i) ->
  (t < land b pools x) = (t + cost (level b pools t) < x).
Proof.
move=> stops values cost_le; elim: pools b stops values => [|[s v] pools IH] b /=.
  by rewrite ltr_subr_addr.
move=> /andP[/ltnW bs stops] values; have {}IH := IH s stops (path_sorted values).
have low : all (fun u => u <= v) (map snd pools).
  by move: values; rewrite path_sortedE => [/andP[]|y x' z xy yz] //; apply: le_trans xy.
have /andP[/cost_le after _] := level_between t stops.
have [v_land|land_v] := ltP v (x - cost b).
  have [tv|vt] := ltP t v; last by rewrite ltr_subr_addr.
  rewrite (lt_trans tv v_land); symmetry; apply: le_lt_trans (_ : v + cost b < x).
    by rewrite ler_add ?(ltW tv) // (le_trans after) ?cost_le.
  by rewrite -ltr_subr_addr.
have [v_join|v_above] := leP v (x - cost s); have [tv|vt] := ltP t v.
- symmetry; apply: lt_le_trans (_ : v + cost s <= x); last by rewrite -ler_subr_addr.
  by rewrite ltr_le_add.
- by symmetry; apply/negbTE; rewrite -leNgt -ler_subl_addr (le_trans land_v).
- exact: IH.
rewrite IH level_low; last by apply: sub_all low => u uv; apply: le_trans vt.
rewrite !ltNge; congr negb; transitivity true; [|symmetry]; rewrite -ler_subl_addr.
  by rewrite (le_trans _ vt) ?ltW.
by rewrite (le_trans land_v).
Qed.

(** One sweep over decreasing entries finds all their values: every step is done with an entry, or with a pool
below which all later entries lie. *)
Fixpoint sweep steps b pools (xs : seq R) : seq R :=
  match steps, xs with
  | steps.+1, x :: later =>
    if pools is (stop, value) :: rest
    then if value < x - cost b then (x - cost b) :: sweep steps b pools later
         else if value <= x - cost stop then value :: sweep steps b pools later
         else sweep steps stop rest xs
    else (x - cost b) :: sweep steps b pools later
  | _, _ => [::]
  end.

(** The sweep takes at most as many steps as there are pools and entries together. *)
Theorem sweep_land steps b pools (xs : seq R) : sorted (fun x y : R => y <= x) xs ->
  (size pools + size xs <= steps)%N -> sweep steps b pools xs = map (land b pools) xs.
Proof.
elim: steps b pools xs => [|steps IH] b pools [|x xs] //= ordered; first by rewrite addnS.
case: pools => [|[s v] pools] /=; first by rewrite ltnS => enough; rewrite IH // (path_sorted ordered).
rewrite addSn addnS ltnS => enough.
have rest_done : sweep steps b ((s, v) :: pools) xs = map (land b ((s, v) :: pools)) xs.
  by apply: IH; [apply: path_sorted ordered|rewrite addSn].
case: ifPn => [_|]; first by rewrite rest_done.
rewrite -leNgt => land_v; case: ifPn => [_|]; first by rewrite rest_done.
rewrite -ltNge => v_above; rewrite IH ?addnS //=; congr cons; apply/eq_in_map => y y_xs.
have yx : y <= x.
  move: ordered; rewrite path_sortedE => [/andP[/allP le_x _]|x1 x2 x3 x12 x23]; first exact: le_x.
  exact: le_trans x23 x12.
rewrite /= ltNge (le_trans _ land_v) ?ler_sub //= leNgt (le_lt_trans _ v_above) //.
by rewrite ler_sub.
Qed.

End Foreground.

Section Root.

Variable R : realFieldType.
Implicit Types (xs : seq R) (c A B t x : R).

(** A pool of background ranks has the value t where this function vanishes: [A + B * t] is the part of the
background, and the foreground entries, in decreasing order, add to it as their cost falls from c to c' over
the pool. Those with t + c' < x <= t + c share its value. *)
Definition pool_function xs c c' A B t :=
  A + B * t + \sum_(x <- xs) (Num.min 0 (t + c' - x) - Num.min 0 (t + c - x)).

(** Where k0 entries exceed t + c and k1 exceed t + c', the function is linear, and this is its root. *)
Definition linear_root xs c c' A B (k0 k1 : nat) : R :=
  (\sum_(x <- take k1 xs) x - \sum_(x <- take k0 xs) x + k0%:R * c - k1%:R * c' - A) / (B + k1%:R - k0%:R).

(** The root, by trying all pairs of counts. *)
Definition pool_root xs c c' A B : R :=
  let roots := [seq linear_root xs c c' A B k0 k1 | k1 <- iota 0 (size xs).+1, k0 <- iota 0 k1.+1] in
  head 0 [seq t <- roots | pool_function xs c c' A B t == 0].

Definition above xs t := count (fun x => t < x) xs.

(** Every term is a non-decreasing function of t, and the whole strictly increasing. *)
Lemma termE c c' t x : c' <= c ->
  Num.min 0 (t + c' - x) - Num.min 0 (t + c - x) = Num.max (c' - c) (Num.min 0 (t + c' - x)).
Proof.
rewrite -subr_ge0 => c'c; have -> : t + c - x = t + c' - x + (c - c') by ring.
have -> : c' - c = - (c - c') by rewrite opprB.
move: (t + c' - x) (c - c') c'c => a d d0; have [a0|/ltW a0] := leP 0 a.
  by rewrite min_l ?addr_ge0 // subrr max_r ?oppr_le0.
have [ad0|/ltW ad0] := leP 0 (a + d); first by rewrite subr0 max_r // -subr_ge0 opprK.
by rewrite opprD addNKr max_l // -subr_ge0 -opprD oppr_ge0 addrC.
Qed.

Lemma pool_function_increasing xs c c' A B t t' : 0 < B -> c' <= c -> t < t' ->
  pool_function xs c c' A B t < pool_function xs c c' A B t'.
Proof.
move=> B0 c'c tt'; rewrite ltr_le_add ?ltr_add2l ?ltr_pmul2l // ler_sum // => x _.
rewrite !termE // le_maxl !le_maxr lexx /= le_minr !le_minl lexx /=.
by rewrite !ler_add2r (ltW tt') !orbT.
Qed.

(** There is only one root. *)
Theorem pool_root_unique xs c c' A B t t' : 0 < B -> c' <= c ->
  pool_function xs c c' A B t = 0 -> pool_function xs c c' A B t' = 0 -> t = t'.
Proof.
move=> B0 c'c root_t root_t'; have increasing := pool_function_increasing xs A B0 c'c.
by have [/increasing|/increasing|//] := ltgtP t t'; rewrite root_t root_t' ltxx.
Qed.

(** A root exists, in any ordered field: the term of one more entry is constant up to a point, then linear,
then 0, and the root with one of these three in its place is the root. *)
Lemma root_exists xs c c' A B : 0 < B -> c' <= c -> exists t, pool_function xs c c' A B t = 0.
Proof.
move=> + c'c; elim: xs A B => [|x xs IH] A B B0.
  by exists (- A / B); rewrite /pool_function big_nil addr0 mulrC mulfVK ?gt_eqF // subrr.
pose f := pool_function xs c c' A B; pose m t := Num.max (c' - c) (Num.min 0 (t + c' - x)).
have cons t : pool_function (x :: xs) c c' A B t = f t + m t.
  by rewrite /f /m /pool_function big_cons termE //; ring.
have line a b t : pool_function xs c c' (A + a) (B + b) t = f t + (a + b * t).
  by rewrite /f /pool_function; ring.
have [t1] := IH (A + (c' - c)) (B + 0) (ltr_paddr (lexx 0) B0); rewrite line mul0r addr0 => root1.
have [low|t1_above] := leP t1 (x - c).
  exists t1; rewrite cons -root1 /m max_l // le_minl; apply/orP; right.
  by apply: le_by1 low _; ring.
have [t2] := IH (A + 0) (B + 0) (ltr_paddr (lexx 0) B0); rewrite line mul0r !addr0 => root2.
have [high|t2_below] := leP (x - c') t2.
  exists t2; rewrite cons root2 /m min_l ?max_r ?subr_le0 ?addr0 //.
  by apply: le_by1 high _; ring.
have [t3] := IH (A + (c' - x)) (B + 1) (ltr_paddr ler01 B0); rewrite line mul1r => root3.
have increasing t t' : t < t' -> f t < f t' := pool_function_increasing xs A B0 c'c.
have t3_above : c' - c <= t3 + c' - x.
  rewrite leNgt; apply/negP => low; have /increasing : t3 < t1.
    by apply: lt_trans t1_above; apply: lt_by1 low _; ring.
  apply/negP; rewrite -leNgt; apply: le_by1 (ltW low) _.
  by rewrite -[f t3]opprK (addr0_eq root3) -[f t1]opprK (addr0_eq root1); ring.
have t3_below : t3 + c' - x <= 0.
  rewrite leNgt; apply/negP => high; have /increasing : t2 < t3.
    by apply: lt_trans t2_below _; apply: lt_by1 high _; ring.
  apply/negP; rewrite -leNgt root2; apply: le_by1 (ltW high) _.
  by rewrite -[f t3]opprK (addr0_eq root3); ring.
by exists t3; rewrite cons -root3 /m min_r // max_r //; ring.
Qed.

(** The entries above a level are a prefix of the decreasing order: the sums are prefix sums. *)
Lemma above_max xs x t : path (fun a b : R => b <= a) x xs -> x <= t -> above xs t = 0%N.
Proof.
move=> ordered xt; apply/eqP; rewrite -leqn0 leqNgt -has_count -all_predC.
move: ordered; rewrite path_sortedE => [/andP[le_x _]|x1 x2 x3 x12 x23]; last exact: le_trans x23 x12.
by apply: sub_all le_x => y yx; rewrite /= -leNgt (le_trans yx).
Qed.

Lemma sum_min xs t : sorted (fun a b : R => b <= a) xs ->
  \sum_(x <- xs) Num.min 0 (t - x) = (above xs t)%:R * t - \sum_(x <- take (above xs t) xs) x.
Proof.
elim: xs => [|x xs IH] ordered; first by rewrite !big_nil mul0r subr0.
rewrite big_cons (IH (path_sorted ordered)) /above /= -/(above xs t).
have [tx|xt] := ltP t x.
  by rewrite min_r ?subr_le0 1?ltW //= big_cons; ring.
by rewrite min_l ?subr_ge0 // (above_max ordered xt) /= take0 add0r.
Qed.

Lemma above_le xs t t' : t <= t' -> (above xs t' <= above xs t)%N.
Proof. by move=> tt'; apply: sub_count => x; apply: le_lt_trans. Qed.

Lemma slope_gt0 xs c c' B t : 0 < B -> c' <= c -> 0 < B + (above xs (t + c'))%:R - (above xs (t + c))%:R.
Proof.
by move=> B0 c'c; rewrite -addrA ltr_paddr // subr_ge0 ler_nat above_le // ler_add2l.
Qed.

(** Newton's step from t leads to the root of the linear piece at t. *)
Definition newton xs c c' A B t := linear_root xs c c' A B (above xs (t + c)) (above xs (t + c')).

(** On its linear pieces the function is its slope times the distance to their root. *)
Lemma pool_functionE xs c c' A B t : 0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  pool_function xs c c' A B t =
  (B + (above xs (t + c'))%:R - (above xs (t + c))%:R) * (t - newton xs c c' A B t).
Proof.
move=> B0 c'c ordered; rewrite /pool_function sumrB !sum_min // /newton /linear_root.
have := slope_gt0 xs t B0 c'c; set k1 := above _ _; set k0 := above _ _ => slope0.
by field; rewrite gt_eqF.
Qed.

Lemma newton_root xs c c' A B t : 0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  pool_function xs c c' A B t = 0 -> newton xs c c' A B t = t.
Proof.
move=> B0 c'c ordered; rewrite pool_functionE // => /eqP; rewrite mulf_eq0 gt_eqF ?slope_gt0 //=.
by rewrite subr_eq0 => /eqP.
Qed.

(** What [pool_root] returns is a root. *)
Theorem pool_rootP xs c c' A B : 0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  let t := pool_root xs c c' A B in
  A + B * t + \sum_(x <- xs) (Num.min 0 (t + c' - x) - Num.min 0 (t + c - x)) = 0.
Proof.
move=> B0 c'c ordered; rewrite /pool_root -/(pool_function _ _ _ _ _ _).
set roots := flatten _; have [t root_t] := root_exists xs A B0 c'c.
have: t \in filter (fun t => pool_function xs c c' A B t == 0) roots.
  rewrite mem_filter root_t eqxx /= -(newton_root B0 c'c ordered root_t).
  apply: (allpairs_f_dep (fun k1 k0 => linear_root xs c c' A B k0 k1)).
    by rewrite mem_iota /= add0n ltnS count_size.
  by rewrite mem_iota /= add0n ltnS above_le // ler_add2l.
case rest: (filter _ _) => [//|u us] _ /=; apply/eqP.
by have: u \in u :: us; [rewrite mem_head|rewrite -rest mem_filter => /andP[]].
Qed.

(** A step leads upwards iff the root lies above, so that a bracket of the root can be kept, and two pools be
merged before the root is known. *)
Theorem newton_side xs c c' A B t : 0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  (t < newton xs c c' A B t) = (pool_function xs c c' A B t < 0).
Proof. by move=> B0 c'c ordered; rewrite pool_functionE // pmulr_rlt0 ?slope_gt0 // subr_lt0. Qed.

(** A step that keeps both counts has found the root. *)
Theorem newton_stops_at_root xs c c' A B t : 0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  let s := newton xs c c' A B t in
  above xs (s + c) = above xs (t + c) -> above xs (s + c') = above xs (t + c') ->
  pool_function xs c c' A B s = 0.
Proof.
move=> B0 c'c ordered s same same'.
by rewrite pool_functionE // /newton same same' -/(newton xs c c' A B t) subrr mulr0.
Qed.

(** Newton's search within a bracket of the root: bisection replaces a step that leaves the bracket, and
[elsewhere] may send the search to any other point, as the kernel does to breakpoints after some steps. The
search gives up after a given number of steps; that some number suffices is not claimed. *)
Fixpoint newton_search elsewhere xs c c' A B steps floor ceiling t : option R :=
  if steps is steps.+1 then
    let s := newton xs c c' A B t in
    if s == t then Some t else
    let floor := if t < s then Num.max floor t else floor in
    let ceiling := if t < s then ceiling else Num.min ceiling t in
    if elsewhere steps floor ceiling s is Some u then
      newton_search elsewhere xs c c' A B steps floor ceiling u
    else if floor < s < ceiling then
      if (above xs (s + c) == above xs (t + c)) && (above xs (s + c') == above xs (t + c')) then Some s
      else newton_search elsewhere xs c c' A B steps floor ceiling s
    else newton_search elsewhere xs c c' A B steps floor ceiling (floor + (ceiling - floor) / 2)
  else None.

(** What the search finds is the root. *)
Theorem newton_search_root elsewhere xs c c' A B steps floor ceiling t u :
  0 < B -> c' <= c -> sorted (fun a b : R => b <= a) xs ->
  newton_search elsewhere xs c c' A B steps floor ceiling t = Some u -> pool_function xs c c' A B u = 0.
Proof.
move=> B0 c'c ordered; elim: steps floor ceiling t => //= steps IH floor ceiling t.
case: eqP => [stays [<-]|_]; first by rewrite pool_functionE // stays subrr mulr0.
case: (elsewhere _ _ _ _) => [v|]; first exact: IH.
case: ifP => _; last exact: IH.
case: ifP => [/andP[/eqP same /eqP same'] [<-]|_]; last exact: IH.
exact: newton_stops_at_root.
Qed.

End Root.
