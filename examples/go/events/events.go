// Code generated from JSON Schema using quicktype. DO NOT EDIT.
// To parse and unparse this JSON data, add this code to your project and do:
//
//    approval, err := UnmarshalApproval(bytes)
//    bytes, err = approval.Marshal()
//
//    withdrawal, err := UnmarshalWithdrawal(bytes)
//    bytes, err = withdrawal.Marshal()
//
//    intent, err := UnmarshalIntent(bytes)
//    bytes, err = intent.Marshal()
//
//    outcome, err := UnmarshalOutcome(bytes)
//    bytes, err = outcome.Marshal()

package events

import "encoding/json"

func UnmarshalApproval(data []byte) (Approval, error) {
	var r Approval
	err := json.Unmarshal(data, &r)
	return r, err
}

func (r *Approval) Marshal() ([]byte, error) {
	return json.Marshal(r)
}

func UnmarshalWithdrawal(data []byte) (Withdrawal, error) {
	var r Withdrawal
	err := json.Unmarshal(data, &r)
	return r, err
}

func (r *Withdrawal) Marshal() ([]byte, error) {
	return json.Marshal(r)
}

func UnmarshalIntent(data []byte) (Intent, error) {
	var r Intent
	err := json.Unmarshal(data, &r)
	return r, err
}

func (r *Intent) Marshal() ([]byte, error) {
	return json.Marshal(r)
}

func UnmarshalOutcome(data []byte) (Outcome, error) {
	var r Outcome
	err := json.Unmarshal(data, &r)
	return r, err
}

func (r *Outcome) Marshal() ([]byte, error) {
	return json.Marshal(r)
}

// The message may be sent, until `valid_until` and no later.
type Approval struct {
	// The intent's `attributes`. Absent if it had none. Whole numbers beyond 2^53 are other                       
	// numbers to a reader that knows doubles only.                                                                
	Attributes                                                                              map[string]interface{} `json:"attributes,omitempty"`
	// A name the policy or the sender declares.                                                                   
	Channel                                                                                 string                 `json:"channel"`
	// An id of the sender's own making.                                                                           
	CustomerID                                                                              string                 `json:"customer_id"`
	// Epoch milliseconds.                                                                                         
	DecidedAt                                                                               int64                  `json:"decided_at"`
	// 24 hexadecimal digits, derived from `customer_id` and `intent_id`.                                          
	DecisionID                                                                              string                 `json:"decision_id"`
	// Every rule that was asked, in a fixed order. Positional: names, limits and texts are                        
	// those of the policy with this hash.                                                                         
	Explanation                                                                             Explanation            `json:"explanation"`
	// An id of the sender's own making.                                                                           
	IntentID                                                                                string                 `json:"intent_id"`
	// Ids of what the policy says the sender must do.                                                             
	Obligations                                                                             []string               `json:"obligations"`
	// The policy the decision was taken under. Its text, rule table and calendars stand on                        
	// `mesura-control` under this hash.                                                                           
	Policy                                                                                  ApprovalPolicy         `json:"policy"`
	// Under each cap that applied, by rule id: how many more the customer may get, this one                       
	// counted.                                                                                                    
	Remaining                                                                               map[string]int64       `json:"remaining"`
	Type                                                                                    ApprovalType           `json:"type"`
	// Never send after this moment. Epoch milliseconds.                                                           
	ValidUntil                                                                              int64                  `json:"valid_until"`
}

// Every rule that was asked, in a fixed order. Positional: names, limits and texts are
// those of the policy with this hash.
type Explanation struct {
	Rules                                                                                      [][]int64 `json:"rules"`
	// The recipient's zone and what it was taken from; behind them, if that zone cannot be one          
	// of the place's, the place whose zones had to be open too. Absent if no rule asked or it           
	// is unknown.                                                                                       
	Zone                                                                                       []string  `json:"zone,omitempty"`
}

// The policy the decision was taken under. Its text, rule table and calendars stand on
// `mesura-control` under this hash.
type ApprovalPolicy struct {
	Hash    string `json:"hash"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// An approval that has not been sent must not be sent any more.
type Withdrawal struct {
	// A name the policy or the sender declares.                                                                 
	Channel                                                                                     string           `json:"channel"`
	// An id of the sender's own making.                                                                         
	CustomerID                                                                                  string           `json:"customer_id"`
	// Epoch milliseconds.                                                                                       
	DecidedAt                                                                                   int64            `json:"decided_at"`
	// Of the approval. 24 hexadecimal digits, derived from `customer_id` and `intent_id`.                       
	DecisionID                                                                                  string           `json:"decision_id"`
	// The policy the decision was taken under. Its text, rule table and calendars stand on                      
	// `mesura-control` under this hash.                                                                         
	Policy                                                                                      WithdrawalPolicy `json:"policy"`
	// Known: `not_understood`, `consent_withdrawn`, `erased`, `objection`, `opt_out`, `paused`,                 
	// `restricted`; more may come.                                                                              
	Reason                                                                                      string           `json:"reason"`
	Type                                                                                        WithdrawalType   `json:"type"`
	// The same as `decided_at`: the approval has ended. Epoch milliseconds.                                     
	ValidUntil                                                                                  int64            `json:"valid_until"`
}

// The policy the decision was taken under. Its text, rule table and calendars stand on
// `mesura-control` under this hash.
type WithdrawalPolicy struct {
	Hash    string `json:"hash"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// One wish to contact one customer once on one channel. Unknown fields are ignored and
// counted.
type Intent struct {
	// A keyed hash of phone or e-mail, never the address. Not read by this version: it is for                         
	// registers of addresses. A name the policy or the sender declares.                                               
	AddressHash                                                                                 *string                `json:"address_hash,omitempty"`
	// A small map, given back with the decision. It is not looked at. Ids, amounts and whatever                       
	// must come back as it stands are text: a number with a fraction or an exponent comes back                        
	// as the nearest double, and readers that know doubles only (JavaScript) read other whole                         
	// numbers beyond 2^53.                                                                                            
	Attributes                                                                                  map[string]interface{} `json:"attributes,omitempty"`
	// A dialler or bot (true) or a person (false). Default: not known.                                                
	Automated                                                                                   *bool                  `json:"automated,omitempty"`
	// A name the policy or the sender declares.                                                                       
	Brand                                                                                       *string                `json:"brand,omitempty"`
	// A name the policy or the sender declares.                                                                       
	CampaignID                                                                                  *string                `json:"campaign_id,omitempty"`
	// `voice`, `sms`, `email`, `whatsapp`, `push`, `chat`, or any the policy declares. A name                         
	// the policy or the sender declares.                                                                              
	Channel                                                                                     string                 `json:"channel"`
	// Not read by this version: of held intents with one key only the latest will be sent. A                          
	// name the policy or the sender declares.                                                                         
	CollapseKey                                                                                 *string                `json:"collapse_key,omitempty"`
	// Not read by this version: consents are known from preference events, whose `evidence_ref`                       
	// is what rules ask for. A name the policy or the sender declares.                                                
	ConsentRef                                                                                  *string                `json:"consent_ref,omitempty"`
	// Default: the profile's. ISO 3166-1 alpha-2, upper case.                                                         
	Country                                                                                     *string                `json:"country,omitempty"`
	// When the wish arose. More than five minutes ahead is a dead letter; before the horizon of                       
	// identities, `expired`. Epoch milliseconds as a whole number.                                                    
	CreatedAt                                                                                   int64                  `json:"created_at"`
	// Whom to contact. The record's key. Should be a pseudonym, never an address. An id of the                        
	// sender's own making.                                                                                            
	CustomerID                                                                                  string                 `json:"customer_id"`
	// The approval ends before this moment. Default: never. Epoch milliseconds as a whole                             
	// number.                                                                                                         
	ExpiresAt                                                                                   *int64                 `json:"expires_at,omitempty"`
	// A calendar the policy declares. A name the policy or the sender declares.                                       
	HolidayCalendar                                                                             *string                `json:"holiday_calendar,omitempty"`
	// With `customer_id` the identity of the intent. The same after a retry of the sender; a                          
	// new wish has a new one. An id of the sender's own making.                                                       
	IntentID                                                                                    string                 `json:"intent_id"`
	// What to do if it may not be sent now. Not read by this version: `hold` acts as `drop`.                          
	// Default: drop.                                                                                                  
	OnSuppress                                                                                  *OnSuppress            `json:"on_suppress,omitempty"`
	// 0 to 100, the greater the more urgent. Not read by this version: urgent intents have a                          
	// topic of their own; it will order those that are held. Default: 50.                                             
	Priority                                                                                    *int64                 `json:"priority,omitempty"`
	// `marketing`, `service`, `collections`, `otp`, … as the policy declares. Default: the                            
	// policy's `default_purpose`. A name the policy or the sender declares.                                           
	Purpose                                                                                     *string                `json:"purpose,omitempty"`
	// Default: the profile's, if the country is the same. Regions of the first level or                               
	// provinces inside them. The part of ISO 3166-2 after the hyphen, upper case.                                     
	Region                                                                                      *string                `json:"region,omitempty"`
	// The `intent_id` this one tries again; a later try is a new intent. Not read by this                             
	// version: it is for who reads the topics. A name the policy or the sender declares.                              
	RetryOf                                                                                     *string                `json:"retry_of,omitempty"`
	// A name the policy or the sender declares.                                                                       
	SenderID                                                                                    *string                `json:"sender_id,omitempty"`
	// Not read by this version: the sender's own name of the text, for later rules about                              
	// templates. A name the policy or the sender declares.                                                            
	TemplateID                                                                                  *string                `json:"template_id,omitempty"`
	// The recipient's zone. Default: the profile's, else that of country and region, else the                         
	// policy's. A name of the IANA time zone database. One that does not exist is not an error                        
	// here; the policy says what follows.                                                                             
	Timezone                                                                                    *string                `json:"timezone,omitempty"`
	// A name the policy or the sender declares.                                                                       
	Topic                                                                                       *string                `json:"topic,omitempty"`
}

// What became of an approved send, as the gateway reports it; replies of customers among
// them. Unknown fields are ignored and counted.
type Outcome struct {
	// Required for an unsolicited `reply`. A name the policy or the sender declares.                       
	Channel                                                                                     *string     `json:"channel,omitempty"`
	// The record's key. An id of the sender's own making.                                                  
	CustomerID                                                                                  string      `json:"customer_id"`
	// Of the approval it is an outcome of. Required, but for an unsolicited `reply`.                       
	DecisionID                                                                                  *string     `json:"decision_id,omitempty"`
	// A code, never text. `stop`, `stopall`, `unsubscribe`, `optout` in an outcome of any type,            
	// and `quit`, `end`, `revoke`, `cancel` in a `reply`, are an opt-out of that channel, in               
	// any case, without regard to blanks, hyphens and underscores. A name the policy or the                
	// sender declares.                                                                                     
	Detail                                                                                      *string     `json:"detail,omitempty"`
	// When it happened. Before 2000, or more than five minutes before the decision, it is not              
	// believed. Epoch milliseconds as a whole number.                                                      
	OccurredAt                                                                                  int64       `json:"occurred_at"`
	Type                                                                                        OutcomeType `json:"type"`
}

type ApprovalType string

const (
	Approved ApprovalType = "approved"
)

type WithdrawalType string

const (
	Withdrawn WithdrawalType = "withdrawn"
)

// What to do if it may not be sent now. Not read by this version: `hold` acts as `drop`.
// Default: drop.
type OnSuppress string

const (
	Drop OnSuppress = "drop"
	Hold OnSuppress = "hold"
)

type OutcomeType string

const (
	Answered     OutcomeType = "answered"
	Bounced      OutcomeType = "bounced"
	Clicked      OutcomeType = "clicked"
	Complaint    OutcomeType = "complaint"
	Conversation OutcomeType = "conversation"
	Delivered    OutcomeType = "delivered"
	Expired      OutcomeType = "expired"
	Failed       OutcomeType = "failed"
	NoAnswer     OutcomeType = "no_answer"
	Read         OutcomeType = "read"
	Refusal      OutcomeType = "refusal"
	Reply        OutcomeType = "reply"
	Sent         OutcomeType = "sent"
)
