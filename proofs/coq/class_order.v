(** Item 4: which order the prox keeps.  If the pixel j never adds more to F than i would, and x i <= x j,
then z i <= z j: exchanging the two entries of z otherwise raises neither the distance to x nor the Lovász
extension, against uniqueness.  So exchangeable pixels keep the order of x: for functions of the two counts
(false negatives, false positives), those of one class.  For the Jaccard loss a foreground pixel never
overtakes a background pixel either: the only change of order is that a background pixel overtakes a
foreground pixel. *)
From mathcomp Require Import all_ssreflect all_algebra all_fingroup ring.
From lovasz Require Import definitions extension prox jaccard.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section ClassOrder.
Variables (R : realFieldType) (T : finType).
Implicit Types (F : {set T} -> R) (x z : T -> R) (fg A : {set T}) (s : {perm T}).

(** Renaming the pixels in the set function and in the vector alike changes nothing. *)
Lemma lovasz_rename F s x : normalised F -> lovasz (fun A => F (s @: A)) (x \o s) = lovasz F x.
Proof.
move=> F0; have sF0 : normalised (fun A => F (s @: A)) by rewrite /normalised imset0.
have r_inj : injective (rank x \o s) by move=> i j /rank_inj/perm_inj.
have r_dec : decreasing_along (rank x \o s) (x \o s) by move=> i j; apply: rank_decreasing.
rewrite (lovasz_order sF0 r_inj r_dec) /lovasz /dot [RHS](reindex_inj (@perm_inj _ s)) /=.
have prefix i : s @: before (rank x \o s) i = before (rank x) (s i).
  by apply/setP=> j; rewrite -(permKV s j) (mem_imset _ _ perm_inj) !inE.
by apply: eq_bigr => i _; rewrite /greedy imsetU imset_set1 prefix.
Qed.

(** A permutation that leaves F unchanged leaves its Lovász extension unchanged. *)
Theorem lovasz_permutation F s x : normalised F -> (forall A, F (s @: A) = F A) ->
  lovasz F (x \o s) = lovasz F x.
Proof.
by move=> F0 Fs; rewrite -[RHS](lovasz_rename s) //; apply: eq_bigr => i _; rewrite /greedy !Fs.
Qed.

(** The squared distance to x does not grow when two entries of z are put in the order of those of x. *)
Lemma sqdist_exchange i j x z : x j <= x i -> z i <= z j -> sqdist (z \o tperm i j) x <= sqdist z x.
Proof.
move=> xji zij; have [<-|ij] := eqVneq i j.
  by rewrite /sqdist; under eq_bigr do rewrite /= tperm1 perm1.
have sum_pair (g : T -> R) : \sum_k g k = g i + g j + \sum_(k | (k != i) && (k != j)) g k.
  by rewrite (bigD1 i) //= (bigD1 j) 1?eq_sym //= addrA.
have := mulr_ge0 (ler0n R 2) (mulr_ge0 (etrans (subr_ge0 _ _) xji) (etrans (subr_ge0 _ _) zij)).
rewrite /sqdist !sum_pair /= tpermL tpermR => prod_ge0.
apply: ler_add; first by apply: (@le_by1 _ _ _ _ _ prod_ge0); ring.
by apply: ler_sum => k /andP[ki kj]; rewrite tpermD // eq_sym.
Qed.

(** If F is no larger than G, and as large on the whole set, then its Lovász extension is no larger; the sets
before a rank in the order of z are enough. *)
Lemma lovasz_prefix_le F G z : normalised F -> normalised G -> F setT = G setT ->
  (forall k, F [set j | (rank z j < k)%N] <= G [set j | (rank z j < k)%N]) -> lovasz F z <= lovasz G z.
Proof.
move=> F0 G0 FGT FG; set r := rank z; have r_inj : injective r := @rank_inj _ _ z.
pose d i := greedy G r i - greedy F r i.
have dE A : mass d A = mass (greedy G r) A - mass (greedy F r) A by rewrite /mass sumrB.
have below i : - (\sum_k `|z k|) <= z i.
  rewrite ler_oppl (le_trans (ler_norm _)) // normrN (bigD1 i) //= ler_addl.
  by apply: sumr_ge0 => k _; apply: normr_ge0.
have prefix k : 0 <= mass d [set j | (r j < k)%N].
  by rewrite dE !greedy_prefix // subr_ge0.
have := summation_by_parts r_inj (@rank_decreasing _ _ z) prefix below.
rewrite dE !greedy_total // FGT subrr mulr0 /dot.
under eq_bigr do rewrite mulrBl.
by rewrite sumrB subr_ge0.
Qed.

(** The pixel j is no dearer than i: it never adds more than i would. *)
Definition no_dearer F i j := forall A, i \notin A -> j \notin A -> F (j |: A) <= F (i |: A).

Lemma exchange_le F i j A : no_dearer F i j -> (j \in A -> i \in A) -> F (tperm i j @: A) <= F A.
Proof.
move=> Fij jiA; have in_sA k : (k \in tperm i j @: A) = (tperm i j k \in A).
  by rewrite -{1}[k](tpermK i j) (mem_imset _ _ perm_inj).
have [eq_ij|] := eqVneq (i \in A) (j \in A).
  suff -> : tperm i j @: A = A by [].
  by apply/setP=> k; rewrite in_sA; case: tpermP => [->|->|].
case: (boolP (j \in A)) jiA => [_ ->//|jA _]; rewrite eqbF_neg negbK => iA.
have ij : i != j by apply: contraNneq jA => <-.
have -> : tperm i j @: A = j |: (A :\ i).
  apply/setP=> k; rewrite in_sA !inE; case: tpermP => [->|->|/eqP/negbTE ki /eqP/negbTE kj].
  - by rewrite (negbTE jA) eqxx (negbTE ij).
  - by rewrite iA eqxx.
  - by rewrite ki kj.
by rewrite -[in leRHS](setD1K iA); apply: Fij; rewrite !inE ?eqxx // (negbTE jA) andbF.
Qed.

(** Then the prox does not bring j behind i. *)
Theorem prox_order_dearer F gamma i j x z : normalised F -> 0 < gamma -> no_dearer F i j ->
  is_prox (lovasz F) gamma x z -> x i <= x j -> z i <= z j.
Proof.
move=> F0 gamma_gt0 Fij z_prox xij; case: (leP (z i) (z j)) => // zji; set s := tperm i j.
have sF0 : normalised (fun A => F (s @: A)) by rewrite /normalised imset0.
have sFT : F (s @: setT) = F setT.
  by congr F; apply/setP=> k; rewrite -[k](permKV s) (mem_imset _ _ perm_inj) !inE.
have lovasz_le : lovasz F (z \o s) <= lovasz F z.
  rewrite -(lovasz_rename s (z \o s)) // (eq_lovasz _ (z := z)); last by move=> k; rewrite /= tpermK.
  have rij : (rank z i <= rank z j)%N.
    by rewrite leqNgt; apply: contraL zji => /rank_decreasing; rewrite -leNgt.
  by apply: lovasz_prefix_le => // k; apply: exchange_le => //; rewrite !inE; apply: leq_ltn_trans.
have exchanged : z \o s =1 z.
  apply: (z_prox _).2; apply: ler_add; last by rewrite ler_pmul2l.
  rewrite ler_wpmul2l ?invr_ge0 ?ler0n // /s tpermC.
  by apply: sqdist_exchange => //; apply: ltW.
by have := exchanged i; rewrite /= tpermL => zij; rewrite zij ltxx in zji.
Qed.

(** ** Inside the classes *)

(** The prox of two exchangeable pixels has the order of x; equal entries stay equal. *)
Theorem prox_order F gamma i j x z : normalised F -> 0 < gamma -> (forall A, F (tperm i j @: A) = F A) ->
  is_prox (lovasz F) gamma x z -> x j <= x i -> z j <= z i.
Proof.
move=> F0 gamma_gt0 Fij; apply: prox_order_dearer => // A jA iA.
rewrite -(Fij (j |: A)) imsetU imset_set1 tpermR (_ : tperm i j @: A = A) //; apply/setP=> k.
rewrite -{1}[k](tpermK i j) (mem_imset _ _ perm_inj).
by case: tpermP => [->|->|//]; rewrite (negbTE iA) (negbTE jA).
Qed.

Corollary prox_equal F gamma i j x z : normalised F -> 0 < gamma -> (forall A, F (tperm i j @: A) = F A) ->
  is_prox (lovasz F) gamma x z -> x i = x j -> z i = z j.
Proof.
move=> F0 gamma_gt0 Fij z_prox xij; apply: le_anti.
rewrite (prox_order F0 gamma_gt0 Fij z_prox) ?xij // andbT.
by apply: (prox_order F0 gamma_gt0 _ z_prox); rewrite ?xij // => A; rewrite tpermC.
Qed.

(** Two pixels of one class are exchangeable for a function of the two counts. *)
Lemma counts_exchange fg (g : nat -> nat -> R) i j A : (i \in fg) = (j \in fg) ->
  counts fg g (tperm i j @: A) = counts fg g A.
Proof.
move=> ij; set s := tperm i j.
have class k : (s k \in fg) = (k \in fg) by rewrite /s; case: tpermP => [->|->|].
have count (D : {set T}) : (forall k, (s k \in D) = (k \in D)) -> #|s @: A :&: D| = #|A :&: D|.
  move=> sD; rewrite -(card_imset (A :&: D) (@perm_inj _ s)); apply: eq_card => k.
  by rewrite -[k](permKV s) inE !(mem_imset _ _ perm_inj) inE sD.
by rewrite /counts !setDE !count // => k; rewrite !inE class.
Qed.

(** For a function of the two counts the order of x is kept inside the foreground and inside the background.
Submodularity, which makes the objective convex, is not needed for it. *)
Corollary prox_order_counts fg (g : nat -> nat -> R) gamma i j x z : g 0%N 0%N = 0 -> 0 < gamma ->
  is_prox (lovasz (counts fg g)) gamma x z -> (i \in fg) = (j \in fg) -> x j <= x i -> z j <= z i.
Proof.
move=> g0 gamma_gt0 z_prox ij; apply: prox_order z_prox => // [|A]; last exact: counts_exchange.
by rewrite /normalised /counts set0I set0D cards0.
Qed.

(** For the Jaccard loss in particular. *)
Corollary prox_order_jaccard fg gamma i j x z : 0 < gamma -> is_prox (lovasz (jaccard R fg)) gamma x z ->
  (i \in fg) = (j \in fg) -> x j <= x i -> z j <= z i.
Proof.
move=> gamma_gt0 z_prox ij; apply: prox_order z_prox => // [|A]; first exact: jaccard_normalised.
by rewrite !jaccard_counts; apply: counts_exchange.
Qed.

Corollary prox_equal_jaccard fg gamma i j x z : 0 < gamma -> is_prox (lovasz (jaccard R fg)) gamma x z ->
  (i \in fg) = (j \in fg) -> x i = x j -> z i = z j.
Proof.
move=> gamma_gt0 z_prox ij; apply: prox_equal z_prox => // [|A]; first exact: jaccard_normalised.
by rewrite !jaccard_counts; apply: counts_exchange.
Qed.

(** ** Between the classes *)

(** A foreground pixel costs at least as much as a background pixel. *)
Lemma jaccard_no_dearer fg i j : i \in fg -> j \notin fg -> no_dearer (jaccard R fg) i j.
Proof.
move=> ifg jfg A iA jA.
have fi : fg :|: (i |: A) = fg :|: A by rewrite setUCA (setUidPr _) // sub1set inE ifg.
have fj : #|fg :|: (j |: A)| = #|fg :|: A|.+1 by rewrite setUCA cardsU1 inE negb_or jfg jA.
rewrite /jaccard fi fj !cardsU1 iA jA; apply: ler_wpmul2l; rewrite ?ler0n //.
have card_gt0 : (0 < #|fg :|: A|)%N by apply/card_gt0P; exists i; rewrite inE ifg.
by rewrite lef_pinv ?posrE ?ltr0n // ler_nat.
Qed.

(** So a foreground pixel never overtakes a background pixel. *)
Theorem background_keeps_lead fg gamma i j x z : 0 < gamma -> is_prox (lovasz (jaccard R fg)) gamma x z ->
  i \in fg -> j \notin fg -> x i <= x j -> z i <= z j.
Proof.
move=> gamma_gt0 z_prox ifg jfg; apply: prox_order_dearer z_prox => //; first exact: jaccard_normalised.
exact: jaccard_no_dearer.
Qed.

End ClassOrder.
