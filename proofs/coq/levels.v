(** Item 8: the prox by its level sets.

For a submodular F, z is the prox of x exactly if, at every level t, the set {t < z} minimises the sum of
gamma * F A and of all t - x i, i in A, over all sets A. In terms of the residual w = (x - z) / gamma this is
gamma * (F A - w A) plus the sum of all t - z i, which is smallest on the level sets of z; so those of the
prox, where w is tight, minimise. The other way, going down the values of z, w stays tight on the level set
and below F on its subsets, and is a certificate at the end. *)

From mathcomp Require Import all_ssreflect all_algebra ring.
From lovasz Require Import definitions extension prox.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Levels.

Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (w x z : T -> R) (t : R) (A C S : {set T}).

(** What the set A costs at level t. *)
Definition level_cost F (gamma : R) x t A : R := gamma * F A + \sum_(i in A) (t - x i).

(** The level sets of z. *)
Definition open_level z t := [set i | t < z i].
Definition closed_level z t := [set i | t <= z i].

(** Upper sets of z are reached from the empty set, one value of z at a time. *)
Lemma level_induction z (Q : {set T} -> Prop) :
  Q set0 -> (forall t, Q (open_level z t) -> Q (closed_level z t)) ->
  forall A, (forall i j, i \in A -> z i <= z j -> j \in A) -> Q A.
Proof.
move=> Q0 step A; have [n] := ubnP #|A|; elim: n A => // n IH A; rewrite ltnS => A_n upper.
have [->//|[i0 i0A]] := set_0Vmem A.
have [i iA lowest] := arg_minP z i0A.
have -> : A = closed_level z (z i).
  by apply/setP => j; rewrite inE; apply/idP/idP => [/lowest|] //; apply: upper.
apply/step/IH => [|j k]; last by rewrite !inE; apply: lt_le_trans.
apply: leq_trans A_n; apply: proper_card; apply/properP; split; last by exists i; rewrite ?inE ?ltxx.
by apply/subsetP => j; rewrite inE => /ltW; apply: upper.
Qed.

(** Below t there is room up to the next value of z, and as near to t as one likes. *)
Lemma level_below z t (d : R) : 0 < d ->
  exists t', [/\ t' < t, t - t' <= d & closed_level z t = open_level z t'].
Proof.
move=> d_gt0; have [t' [near below separates]] : exists t',
  [/\ t - d <= t', t' < t & forall v, v \in [seq z i | i <- enum T] -> v < t -> v <= t'].
  elim: [seq z i | i <- enum T] => [|v s [t' [near below separates]]].
    by exists (t - d); split=> //; rewrite ltr_subl_addr ltr_addl.
  have [vt|tv] := ltP v t; last first.
    by exists t'; split=> // u; rewrite inE => /predU1P[->|/separates] //; rewrite ltNge tv.
  exists (Num.max t' v); split; rewrite ?lt_maxl ?below ?le_maxr ?near // => u.
  by rewrite inE le_maxr => /predU1P[->|us /(separates _ us) ->] //; rewrite lexx orbT.
exists t'; split=> //; first by rewrite ler_subl_addr -ler_subl_addl.
apply/setP => i; rewrite !inE; apply/idP/idP => [|t'z]; first exact: lt_le_trans.
rewrite leNgt; apply: contraL t'z => zt; rewrite -leNgt separates //.
by apply: map_f; rewrite mem_enum.
Qed.

Lemma level_cost_slope F gamma x t t' A :
  level_cost F gamma x t A = level_cost F gamma x t' A + (t - t') * #|A|%:R.
Proof.
rewrite /level_cost -addrA mulr_natr -sumr_const -big_split /=; congr (_ + _).
by apply: eq_bigr => i _; ring.
Qed.

(** If the open level sets minimise, so do the closed ones. *)
Lemma closed_level_minimises F gamma x z :
  (forall t A, level_cost F gamma x t (open_level z t) <= level_cost F gamma x t A) ->
  forall t A, level_cost F gamma x t (closed_level z t) <= level_cost F gamma x t A.
Proof.
move=> minimises t A; rewrite leNgt; apply/negP; rewrite -subr_gt0.
set excess := _ - _ => excess_gt0; have n_gt0 : (0 : R) < #|T|.+1%:R by rewrite ltr0n.
have [|t' [t't near same]] := @level_below z t (excess / #|T|.+1%:R); first exact: divr_gt0.
have := minimises t' A; rewrite -same leNgt => /negP; apply.
have small : (t - t') * #|closed_level z t|%:R < excess.
  apply: lt_le_trans (_ : (t - t') * #|T|.+1%:R <= _); last by rewrite -ler_pdivl_mulr.
  by rewrite ltr_pmul2l ?subr_gt0 // ltr_nat ltnS max_card.
have none : 0 <= (t - t') * #|A|%:R by rewrite mulr_ge0 ?ler0n ?subr_ge0 ?ltW.
apply: lt_by2 small none _.
by rewrite /excess (level_cost_slope _ _ _ t t' A) (level_cost_slope _ _ _ t t' (closed_level _ _)); ring.
Qed.

(** The cost in terms of the residual. *)
Lemma level_costE F gamma x z t A : 0 < gamma ->
  level_cost F gamma x t A = gamma * (F A - mass (residual gamma x z) A) + \sum_(i in A) (t - z i).
Proof.
move=> gamma_gt0; rewrite mulrBr /mass mulr_sumr -addrA; congr (_ + _).
rewrite addrC -sumrB; apply: eq_bigr => i _.
by rewrite /residual mulrC divfK ?gt_eqF //; ring.
Qed.

(** Pixels of value t weigh nothing at t. *)
Lemma sum_at_level z t C : {in C, forall i, z i = t} -> [disjoint open_level z t & C] ->
  \sum_(i in open_level z t :|: C) (t - z i) = \sum_(i in open_level z t) (t - z i).
Proof.
move=> at_t apart; rewrite (eq_bigl [predU open_level z t & C]) => [|i]; last by rewrite !inE.
rewrite bigU //= [X in _ + X]big1 ?addr0 // => i /at_t ->; exact: subrr.
Qed.

(** The residual is below F on every set of pixels of value t that joins. *)
Lemma mass_joining F gamma x z t C : 0 < gamma ->
  (forall A, level_cost F gamma x t (open_level z t) <= level_cost F gamma x t A) ->
  mass (residual gamma x z) (open_level z t) = F (open_level z t) -> {in C, forall i, z i = t} ->
  mass (residual gamma x z) C <= F (open_level z t :|: C) - F (open_level z t).
Proof.
move=> gamma_gt0 minimises tight at_t.
have apart : [disjoint open_level z t & C].
  by rewrite disjoint_subset; apply/subsetP => i; rewrite !inE; apply: contraL => /at_t ->; rewrite ltxx.
have := minimises (open_level z t :|: C).
rewrite !(level_costE F x z) // sum_at_level // ler_add2r ler_pmul2l // mass_setU // tight subrr => joining.
by apply: le_by1 joining _; ring.
Qed.

(** One value of z further down, w stays tight on the level set and below F on its subsets. *)
Definition settled F w S := mass w S = F S /\ forall A, mass w (A :&: S) <= F (A :&: S).

Lemma settled_step F gamma x z t : submodular F -> 0 < gamma ->
  (forall t A, level_cost F gamma x t (open_level z t) <= level_cost F gamma x t A) ->
  settled F (residual gamma x z) (open_level z t) -> settled F (residual gamma x z) (closed_level z t).
Proof.
move=> submod gamma_gt0 minimises [tight below]; set w := residual gamma x z in tight below *.
have joining C : {in C, forall i, z i = t} -> mass w C <= F (open_level z t :|: C) - F (open_level z t).
  exact: mass_joining.
pose E := [set i | z i == t]; have at_t A : {in A :&: E, forall i, z i = t}.
  by move=> i; rewrite !inE => /andP[_ /eqP].
have split_level : closed_level z t = open_level z t :|: E.
  by apply/setP => i; rewrite !inE le_eqVlt eq_sym orbC.
have apart A : [disjoint A :&: open_level z t & A :&: E].
  rewrite disjoint_subset; apply/subsetP => i; rewrite !inE => /andP[_ tz].
  by rewrite negb_and gt_eqF ?orbT.
have split_mass A : mass w (A :&: closed_level z t) = mass w (A :&: open_level z t) + mass w (A :&: E).
  by rewrite split_level setIUr mass_setU.
split=> [|A].
  apply/eqP; rewrite eq_le; apply/andP; split.
    have := split_mass setT; rewrite !setTI => ->; rewrite tight split_level.
    have := joining (setT :&: E) (at_t setT); rewrite setTI => joining_E.
    by apply: le_by1 joining_E _; ring.
  have := closed_level_minimises minimises t (open_level z t).
  rewrite !(level_costE F x z) // -/w tight subrr mulr0 add0r -ler_subr_addr => cost.
  rewrite -subr_le0 -(pmulr_rle0 _ gamma_gt0); apply: le_trans cost _.
  by rewrite split_level -[E]setTI sum_at_level ?subrr //; have := apart setT; rewrite setTI.
have := submod (A :&: closed_level z t) (open_level z t).
have -> : A :&: closed_level z t :|: open_level z t = open_level z t :|: (A :&: E).
  by rewrite split_level setIUr -setUA [A :&: E :|: _]setUC setUA (setUidPr (subsetIr _ _)).
have -> : A :&: closed_level z t :&: open_level z t = A :&: open_level z t.
  by rewrite split_level -setIA (setIidPr (subsetUl _ _)).
rewrite split_mass => submod_A.
by apply: le_by3 submod_A (joining _ (at_t A)) (below A) _; ring.
Qed.

(** The level sets of z minimise: z is the prox. *)
Theorem prox_of_levels F gamma x z : normalised F -> submodular F -> 0 < gamma ->
  (forall t A, level_cost F gamma x t [set i | t < z i] <= level_cost F gamma x t A) ->
  is_prox (lovasz F) gamma x z.
Proof.
move=> norm submod gamma_gt0 minimises; set w := residual gamma x z.
have settled_upper A : (forall i j, i \in A -> z i <= z j -> j \in A) -> settled F w A.
  apply: level_induction => [|t]; last exact: settled_step.
  by split=> [|A']; rewrite ?setI0 mass_set0 norm.
have [total below] : settled F w setT by apply: settled_upper => i j _ _; rewrite inE.
apply: prox_of_certificate => //; first by split=> // A; have := below A; rewrite setIT.
apply: levels_tight => // t.
by case: (settled_upper (open_level z t)) => // i j; rewrite !inE; apply: lt_le_trans.
Qed.

(** A level set of z has the smallest sum of t - z. *)
Lemma sum_level z t S A : open_level z t \subset S -> S \subset closed_level z t ->
  \sum_(i in S) (t - z i) <= \sum_(i in A) (t - z i).
Proof.
move=> /subsetP inner /subsetP outer; rewrite (big_setID A) [leRHS](big_setID S) /= setIC ler_add2l.
apply: (@le_trans _ _ 0).
  rewrite -oppr_ge0 -sumrN sumr_ge0 // => i; rewrite inE => /andP[_ iS].
  by rewrite opprB subr_ge0; have := outer i iS; rewrite inE.
apply: sumr_ge0 => i; rewrite inE => /andP[iA iS].
by rewrite subr_ge0 leNgt; apply: contra iA => tz; apply: inner; rewrite inE.
Qed.

(** Conversely, at every level both level sets of the prox minimise. *)
Theorem levels_of_prox F gamma x z : normalised F -> submodular F -> 0 < gamma ->
  is_prox (lovasz F) gamma x z -> forall t A,
  level_cost F gamma x t [set i | t < z i] <= level_cost F gamma x t A /\
  level_cost F gamma x t [set i | t <= z i] <= level_cost F gamma x t A.
Proof.
move=> norm submod gamma_gt0 prox_z t A.
have [base tight] := prox_certificate gamma_gt0 norm submod (fun u => proj1 (prox_z u)).
have [open closed] := tight_levels norm base tight t.
have cost_A : \sum_(i in A) (t - z i) <= level_cost F gamma x t A.
  by rewrite (level_costE F x z) // ler_addr pmulr_rge0 // subr_ge0; case: base.
have nested : open_level z t \subset closed_level z t by apply/subsetP => i; rewrite !inE => /ltW.
split; apply: le_trans cost_A; rewrite (level_costE F x z) // -?open -?closed subrr mulr0 add0r.
  exact: sum_level.
exact: sum_level.
Qed.

End Levels.
